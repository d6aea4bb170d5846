import json
from types import SimpleNamespace

import pytest

from salt.cluster import left_over
from salt.runtime import provenance
from salt.workflow.snakemake_adapter import Engine


@pytest.fixture
def engine_of(tmp_path):
    """An engine with one finished job, and what it has recorded."""

    def build(settings, made_with, no_metadata=True, needs_to_run=False):
        output = tmp_path / "snapshots"
        if made_with is not None:
            provenance.path_of(output).write_text(json.dumps({"settings": made_with}))
        job = SimpleNamespace(params=[json.dumps(settings)], output=[str(output)])
        recorded = []
        dag = SimpleNamespace(
            jobs=[job],
            reason=lambda _: SimpleNamespace(no_metadata=no_metadata),
            needrun=lambda _: needs_to_run,
        )
        persistence = SimpleNamespace(finished=recorded.append)
        return Engine(SimpleNamespace(dag=dag, persistence=persistence, async_run=lambda done: done)), recorded, job

    return build


def test_a_result_of_the_same_settings_is_recorded(engine_of):
    engine, recorded, job = engine_of({"seed": 1, "lr": 0.1}, {"lr": 0.1, "seed": 1})
    left_over.adopt(engine)
    assert recorded == [job]


def test_a_result_of_other_settings_ends_the_run_and_says_what_to_delete(engine_of):
    engine, recorded, job = engine_of({"seed": 1}, {"seed": 2})
    with pytest.raises(
        SystemExit, match=f"found others in {job.output[0]}.provenance.json: .* Delete {job.output[0]},"
    ):
        left_over.adopt(engine)
    assert recorded == []


@pytest.mark.parametrize("known", [{"no_metadata": False}, {"needs_to_run": True}])
def test_results_that_are_recorded_or_made_again_are_left_alone(engine_of, known):
    engine, recorded, _ = engine_of({"seed": 1}, {"seed": 2}, **known)
    left_over.adopt(engine)
    assert recorded == []


def test_a_result_without_provenance_is_left_alone(engine_of):
    engine, recorded, _ = engine_of({"seed": 1}, None)
    left_over.adopt(engine)
    assert recorded == []
