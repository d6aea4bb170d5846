from schemas.differences import differences


def test_a_changed_setting_is_named_by_its_path_with_both_values():
    old = {"seed": 1, "phases": [{"optimizer": {"name": "sgd", "lr": 0.002}}]}
    new = {"seed": 1, "phases": [{"optimizer": {"name": "adamw", "lr": 0.001}}]}
    assert list(differences(old, new)) == [
        'phases.0.optimizer.name: "sgd" -> "adamw"',
        "phases.0.optimizer.lr: 0.002 -> 0.001",
    ]
    assert list(differences(old, old)) == []


def test_settings_that_come_and_go_are_told_from_null():
    old, new = {"mix": None, "cycles": [4, 4], "pad": 3}, {"mix": {"name": "mixup"}, "cycles": [4], "pad": None}
    assert list(differences(old, new)) == [
        "mix: null -> nothing",
        "cycles.1: 4 -> nothing",
        "pad: 3 -> null",
        'mix.name: nothing -> "mixup"',
    ]


def test_an_empty_list_is_a_setting():
    assert list(differences({"augment": []}, {"augment": [1]})) == ["augment: [] -> nothing", "augment.0: nothing -> 1"]
