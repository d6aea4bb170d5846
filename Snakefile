# The whole workflow, in the order it runs. What a rule reads and which settings it gets is decided in salt/workflow/dag.py;
# what it does, in stages/<rule>.py. A program's output goes to its log; descriptor 3 is the terminal (salt/runtime/progress.py).

import shlex
import sys

from salt.workflow import dry_run
from salt.workflow import preflight
from salt.workflow import run_lock
from salt.workflow.dag import Plan
from salt.workflow.recipes import Recipes


configfile: "workflow_config.yaml"


plan = Plan(config, Recipes(workflow.configfiles, workflow.config_settings.config))
preflight.must_have_inputs(plan)
run_lock.hold(workflow)
dry_run.tell_after_dry_run(workflow, plan.config)
python = f"PROGRESS_TO=3 exec {shlex.quote(sys.executable)} -m"


wildcard_constraints:
    model="|".join(plan.models),
    name="|".join(plan.names),
    labels="|".join(plan.pseudo_labels) or "none",
    encoder="|".join(plan.encoders) or "none",
    fold=r"\d+",
    learners=r"all_folds|fold\d+",  # who learns from a set of pseudo-labels: by its scope, all or one


rule all:
    default_target: True
    input:
        plan.targets(),


if plan.config.survey:

    rule make_survey:
        output:
            files=[f"{plan.config.data.root}/{name}" for name in plan.survey_files],
            truth=f"{plan.config.data.root}/truth/test_masks.csv",
            mosaics=f"{plan.config.data.root}/truth/mosaics.csv",
        log:
            "<results>/logs/make_survey.log",
        params:
            settings=plan.survey_settings(),
        shell:
            "{python} stages.make_survey --settings {params.settings:q} --out {plan.config.data.root:q}"
            " 3>&2 > {log} 2>&1"


# First of all, so that a run without a network ends at once and not before its last training.
rule fetch_weights:
    input:
        plan.encoder_files,
    output:
        "<results>/encoders/{encoder}.safetensors",
    log:
        "<results>/logs/fetch_weights/{encoder}.log",
    priority: 1
    params:
        settings=plan.encoder_settings,
    shell:
        "{python} stages.fetch_weights --settings {params.settings:q} --out {output} 3>&2 > {log} 2>&1"


rule prepare_tiles:
    input:
        files=plan.data_files(),
        folders=ancient(plan.data_folders()),
    output:
        "<results>/tiles/tiles.csv",
        "<results>/tiles/train_images.npy",
        "<results>/tiles/train_masks.npy",
        "<results>/tiles/test_images.npy",
    log:
        "<results>/logs/prepare_tiles.log",
    params:
        settings=plan.data_settings(),
    shell:
        "{python} stages.prepare_tiles --settings {params.settings:q} --out {plan.results}/tiles 3>&2 > {log} 2>&1"


rule assemble_mosaics:
    input:
        rules.prepare_tiles.output,
    output:
        mosaics="<results>/mosaics.csv",
        neighbours="<results>/neighbours.csv",
        duplicates="<results>/duplicates.csv",
    log:
        "<results>/logs/assemble_mosaics.log",
    params:
        settings=plan.settings("mosaics"),
    shell:
        "{python} stages.assemble_mosaics --settings {params.settings:q} --tiles {plan.results}/tiles"
        " --mosaics {output.mosaics} --neighbours {output.neighbours} --duplicates {output.duplicates}"
        " 3>&2 > {log} 2>&1"


rule make_folds:
    input:
        tiles=rules.prepare_tiles.output,
        mosaics=plan.fold_inputs(),
    output:
        "<results>/folds.csv",
    log:
        "<results>/logs/make_folds.log",
    params:
        settings=plan.settings("folds"),
    shell:
        "{python} stages.make_folds --settings {params.settings:q} --tiles {plan.results}/tiles"
        " --mosaics {input.mosaics} --out {output} 3>&2 > {log} 2>&1"


rule make_pseudo_labels:
    input:
        tiles=rules.prepare_tiles.output,
        probabilities=plan.pseudo_label_sources,
    output:
        masks="<results>/pseudo_labels/{labels}/{learners}/masks.npy",
        table="<results>/pseudo_labels/{labels}/{learners}/pseudo_labels.csv",
    log:
        "<results>/logs/make_pseudo_labels/{labels}_{learners}.log",
    params:
        settings=plan.pseudo_label_settings,
    shell:
        "{python} stages.make_pseudo_labels --settings {params.settings:q} --tiles {plan.results}/tiles"
        " --probabilities {input.probabilities} --masks {output.masks} --table {output.table} 3>&2 > {log} 2>&1"


rule pretrain:
    input:
        tiles=rules.prepare_tiles.output,
        encoder_weights=plan.encoder_weights,
        pseudo_labels=plan.pretrain_pseudo_labels,
    output:
        weights="<results>/models/{model}/pretrain/{learners}/weights.safetensors",
        history="<results>/models/{model}/pretrain/{learners}/history.csv",
    log:
        "<results>/logs/pretrain/{model}_{learners}.log",
    threads: plan.threads
    resources:
        gpu=plan.gpus,
    params:
        settings=plan.pretrain_settings,
    shell:
        "{python} stages.pretrain --settings {params.settings:q} --compute {plan.compute:q}"
        " --tiles {plan.results}/tiles --pseudo-labels {input.pseudo_labels}"
        " --encoder-weights {input.encoder_weights}"
        " --checkpoints {plan.results}/checkpoints/{wildcards.model}_pretrain_{wildcards.learners}"
        " --weights {output.weights} --history {output.history}"
        " --timing {plan.results}/timings/{wildcards.model}_pretrain_{wildcards.learners}.json 3>&2 > {log} 2>&1"


rule train_fold:
    input:
        tiles=rules.prepare_tiles.output,
        folds=rules.make_folds.output,
        encoder_weights=plan.fold_encoder_weights,
        start_from=plan.pretrained_weights,
        pseudo_labels=plan.added_pseudo_labels,
    output:
        snapshots=directory("<results>/models/{model}/fold{fold}/snapshots"),
        history="<results>/models/{model}/fold{fold}/history.csv",
    log:
        "<results>/logs/train_fold/{model}_fold{fold}.log",
    threads: plan.threads
    resources:
        gpu=plan.gpus,
    params:
        settings=plan.train_settings,
    shell:
        "{python} stages.train_fold --settings {params.settings:q} --compute {plan.compute:q}"
        " --tiles {plan.results}/tiles --folds {input.folds} --fold {wildcards.fold}"
        " --encoder-weights {input.encoder_weights} --start-from {input.start_from} --pseudo-labels {input.pseudo_labels}"
        " --checkpoints {plan.results}/checkpoints/{wildcards.model}_fold{wildcards.fold}"
        " --snapshots {output.snapshots} --history {output.history}"
        " --timing {plan.results}/timings/{wildcards.model}_fold{wildcards.fold}.json 3>&2 > {log} 2>&1"


rule predict_fold:
    input:
        tiles=rules.prepare_tiles.output,
        folds=rules.make_folds.output,
        snapshots=rules.train_fold.output.snapshots,
    output:
        held_out=temp("<results>/models/{model}/fold{fold}/held_out.npy"),
        test=(str if plan.folds_learn_alone else temp)("<results>/models/{model}/fold{fold}/test.npy"),
    log:
        "<results>/logs/predict_fold/{model}_fold{fold}.log",
    threads: plan.threads
    resources:
        gpu=plan.gpus,
    params:
        settings=plan.predict_settings,
    shell:
        "{python} stages.predict_fold --settings {params.settings:q} --compute {plan.compute:q}"
        " --tiles {plan.results}/tiles --folds {input.folds} --fold {wildcards.fold}"
        " --snapshots {input.snapshots} --held-out {output.held_out} --test {output.test} 3>&2 > {log} 2>&1"


rule blend:
    input:
        labelled=plan.labelled_members,
        test=plan.test_members,
    output:
        out_of_fold="<results>/ensembles/{name}/out_of_fold.npy",
        test="<results>/ensembles/{name}/test.npy",
    log:
        "<results>/logs/blend/{name}.log",
    params:
        settings=plan.blend_settings,
    shell:
        "{python} stages.blend --settings {params.settings:q} --labelled {input.labelled} --test {input.test}"
        " --out-of-fold-out {output.out_of_fold} --test-out {output.test} 3>&2 > {log} 2>&1"


rule score:
    input:
        tiles=rules.prepare_tiles.output,
        folds=rules.make_folds.output,
        mosaics=rules.assemble_mosaics.output.mosaics,
        out_of_fold=expand("<results>/ensembles/{name}/out_of_fold.npy", name=plan.names),
        test=expand("<results>/ensembles/{name}/test.npy", name=plan.names),
        true_test_masks=plan.true_test_masks(),
    output:
        scores="<results>/scores.csv",
        threshold_curve="<results>/threshold_curve.csv",
    log:
        "<results>/logs/score.log",
    params:
        settings=plan.score_settings(),
    shell:
        "{python} stages.score --settings {params.settings:q} --tiles {plan.results}/tiles"
        " --folds {input.folds} --mosaics {input.mosaics} --names {plan.names} --out-of-fold {input.out_of_fold}"
        " --test {input.test} --true-test-masks {input.true_test_masks} --scores {output.scores}"
        " --threshold-curve {output.threshold_curve} 3>&2 > {log} 2>&1"


rule apply_jigsaw:
    input:
        tiles=rules.prepare_tiles.output,
        mosaics=rules.assemble_mosaics.output.mosaics,
        probabilities=f"<results>/ensembles/{plan.config.submission.ensemble}/test.npy",
    output:
        masks="<results>/jigsaw/masks.npy",
        changes="<results>/jigsaw/changes.csv",
    log:
        "<results>/logs/apply_jigsaw.log",
    params:
        settings=plan.settings("submission"),
    shell:
        "{python} stages.apply_jigsaw --settings {params.settings:q} --probabilities {input.probabilities}"
        " --tiles {plan.results}/tiles --mosaics {input.mosaics} --masks-out {output.masks}"
        " --changes-out {output.changes} 3>&2 > {log} 2>&1"


rule write_submission:
    input:
        tiles=rules.prepare_tiles.output,
        masks=rules.apply_jigsaw.output.masks,
    output:
        "<results>/submission.csv",
    log:
        "<results>/logs/write_submission.log",
    shell:
        "{python} stages.write_submission --masks {input.masks} --tiles {plan.results}/tiles"
        " --out {output} 3>&2 > {log} 2>&1"


rule write_report:
    input:
        tiles=rules.prepare_tiles.output,
        folds=rules.make_folds.output,
        scores=rules.score.output,
        mosaics=rules.assemble_mosaics.output,
        predictions=[
            f"<results>/ensembles/{plan.config.submission.ensemble}/{name}.npy" for name in ("out_of_fold", "test")
        ],
        histories=plan.histories(),
        pseudo_labels=plan.pseudo_label_tables(),
        masks=rules.apply_jigsaw.output,
        submission=rules.write_submission.output,
        other_runs=plan.compared_runs(),
    output:
        report="<results>/report.html",
        mosaics="<results>/mosaics.html",
    log:
        "<results>/logs/write_report.log",
    params:
        settings=plan.report_settings(),
    shell:
        "{python} stages.write_report --settings {params.settings:q} --run {plan.results} --reads {input}"
        " --report-out {output.report} --mosaics-out {output.mosaics} 3>&2 > {log} 2>&1"


# A trained run, applied to other images. Its weights are no inputs: nothing is to be trained for a prediction.
if plan.config.predict:

    rule predict_images:
        output:
            masks=directory(f"<results>/predictions/{plan.predicted}/masks"),
            probabilities=directory(f"<results>/predictions/{plan.predicted}/probabilities"),
            table=f"<results>/predictions/{plan.predicted}/masks.csv",
        log:
            f"<results>/logs/predict_images/{plan.predicted}.log",
        threads: plan.threads
        resources:
            gpu=plan.gpus,
        params:
            settings=plan.image_settings,
        shell:
            "{python} stages.predict_images --settings {params.settings:q} --compute {plan.compute:q}"
            " --models {plan.results}/models --checkpoints {plan.results}/checkpoints/predict_{plan.predicted}"
            " --masks {output.masks} --probabilities {output.probabilities} --table {output.table} 3>&2 > {log} 2>&1"


onstart:
    dry_run.check(workflow, plan.config)
    plan.save_config()


onsuccess:
    print(plan.closing_words(), file=sys.stderr)


onerror:
    print(plan.words_after_a_failure(), file=sys.stderr)
