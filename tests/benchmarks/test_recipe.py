import argparse

import yaml

from benchmarks import recipe


def given(**more):
    return argparse.Namespace(**{"device": "cpu", "threads": None, "workers": None, "deterministic": False} | more)


def test_every_network_of_the_recipe_is_measured_at_its_batch():
    whole = yaml.safe_load(recipe.RECIPE.read_text())["models"]
    measured = {name: recipe.read(name) for name in recipe.MODELS}
    assert {model.network.name for model in measured.values()} >= {model["network"]["name"] for model in whole.values()}
    batches = {name: recipe.settings(model).phases[0].batch for name, model in measured.items()}
    assert batches == {
        **{"stage1_resnet34": 18, "stage2_resnet34": 18, "stage3_pad128": 64, "stage3_resize128": 64},
        **{"stage2_resnext50": 28, "stage2_lite": 8},
    }
    assert recipe.settings(measured["stage3_pad128"], 2).phases[0].batch == 2


def test_the_final_blend_is_made_of_models_that_are_measured():
    assert set(recipe.final_blend()) <= recipe.MODELS.keys()


def test_options_decide_how_the_machine_is_used_and_the_recipe_all_else():
    assert recipe.compute(given(device="cuda")).loader_workers == 4
    on_cpu = recipe.compute(given())
    assert (on_cpu.device, on_cpu.loader_workers, on_cpu.predict_batch) == ("cpu", 0, 64)
    chosen = recipe.compute(given(threads=3, workers=2, deterministic=True))
    assert (chosen.threads, chosen.loader_workers, chosen.deterministic) == (3, 2, True)
