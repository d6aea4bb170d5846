# The whole workflow, in the order in which it runs. salt/workflow/dag.py determines the inputs and settings of a rule,
# salt/runtime/paths.py the places of its files, stages/<rule>.py is its program. A program's output goes to its log,
# which salt/workflow/watch.py reads. Where it does not, a program itself reports to the terminal, its descriptor 3.

import shlex
import sys

from salt.cluster import left_over, slurm_queue
from salt.cluster.claims import Claims
from salt.verify import at_start
from salt.workflow import dry_run, preflight, run_hooks, run_lock
from salt.workflow.dag import Plan
from salt.workflow.recipes import Recipes
from salt.workflow.snakemake_adapter import Engine
from salt.workflow.watch import Watch


configfile: "workflow_config.yaml"


report: "report/captions/workflow.rst"


engine = Engine(workflow)
plan = Plan(config, Recipes(engine.config_files, engine.config_options))
preflight.must_have_inputs(plan)
run_lock.hold(engine)
slurm_queue.wait_for_left_over(engine)
at_start.look_at_exit(engine, plan.config)
dry_run.summarize_at_exit(engine, plan.config)
watch = Watch.of(engine)
python = f"PROGRESS_TO={watch.descriptor} exec {shlex.quote(sys.executable)} -m"
claims = Claims(plan.config)  # of a job on a cluster

# The files of the run, and those of the fold, the pretraining etc. that a job's wildcards name.
run = plan.run
final = run.ensemble(plan.config.submission.ensemble)
fold, pretraining = run.fold("{model}", "{fold}"), run.pretraining("{model}", "{scope}")
ensemble, pseudo_labels = run.ensemble("{name}"), run.pseudo_labels("{labels}", "{scope}")
prediction = run.prediction(plan.prediction_name)
until_blended = str if plan.keeps_fold_predictions else temp
its_fold = run.fold("{wildcards.model}", "{wildcards.fold}")  # the same in a command
its_pretraining = run.pretraining("{wildcards.model}", "{wildcards.scope}")


wildcard_constraints:
    model="|".join(plan.models),
    name="|".join(plan.names),
    labels="|".join(plan.pseudo_labels) or "none",
    encoder="|".join(plan.encoders) or "none",
    fold=r"\d+",
    shard=r"\d+",
    scope=r"all_folds|fold\d+",  # the folds that learn from a set of pseudo-labels


# On a cluster, these run beside Snakemake: they take seconds or minutes, and fetch_weights needs the internet.
localrules:
    all,
    make_survey,
    fetch_weights,
    prepare_tiles,
    assemble_mosaics,
    make_folds,
    make_pseudo_labels,
    blend,
    score,
    score_pseudo_labels,
    postprocess,
    write_submission,
    write_report,


rule all:
    default_target: True
    input:
        at_start.targets(engine, plan.config) or plan.targets(),


if plan.config.survey:

    rule make_survey:
        output:
            files=plan.survey.data,
            truth=plan.survey.true_masks,
            mosaics=plan.survey.true_mosaics,
        log:
            run.log("make_survey"),
        benchmark:
            run.benchmark("make_survey")
        params:
            settings=plan.survey_settings(),
        shell:
            "{python} stages.make_survey --settings {params.settings:q} --out {plan.config.data.root:q}"
            " 3>&2 > {log} 2>&1"


# Has priority, so that a run without an internet connection fails at once and not after hours of training.
rule fetch_weights:
    input:
        plan.encoder_files,
    output:
        run.encoder("{encoder}"),
    log:
        run.log("fetch_weights", "{encoder}"),
    benchmark:
        run.benchmark("fetch_weights", "{encoder}")
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
        tiles=run.tiles.all,
        hidden_masks=plan.hidden_masks(),
    log:
        run.log("prepare_tiles"),
    benchmark:
        run.benchmark("prepare_tiles")
    params:
        settings=plan.data_settings(),
    shell:
        "{python} stages.prepare_tiles --settings {params.settings:q} --out {run.tiles.folder}"
        " --hidden-masks {output.hidden_masks} 3>&2 > {log} 2>&1"


rule assemble_mosaics:
    input:
        rules.prepare_tiles.output.tiles,
    output:
        mosaics=run.mosaics,
        neighbours=run.neighbours,
        duplicates=run.duplicates,
    log:
        run.log("assemble_mosaics"),
    benchmark:
        run.benchmark("assemble_mosaics")
    params:
        settings=plan.settings("mosaics"),
    shell:
        "{python} stages.assemble_mosaics --settings {params.settings:q} --tiles {run.tiles.folder}"
        " --mosaics {output.mosaics} --neighbours {output.neighbours} --duplicates {output.duplicates}"
        " 3>&2 > {log} 2>&1"


rule make_folds:
    input:
        tiles=rules.prepare_tiles.output.tiles,
        mosaics=plan.fold_inputs(),
        file=plan.fold_file(),
    output:
        run.folds,
    log:
        run.log("make_folds"),
    benchmark:
        run.benchmark("make_folds")
    params:
        settings=plan.settings("folds"),
    shell:
        "{python} stages.make_folds --settings {params.settings:q} --tiles {run.tiles.folder}"
        " --mosaics {input.mosaics} --out {output} 3>&2 > {log} 2>&1"


rule make_pseudo_labels:
    input:
        tiles=rules.prepare_tiles.output.tiles,
        probabilities=plan.pseudo_label_sources,
    output:
        masks=pseudo_labels.masks,
        table=pseudo_labels.table,
    log:
        run.log("make_pseudo_labels", "{labels}_{scope}"),
    benchmark:
        run.benchmark("make_pseudo_labels", "{labels}_{scope}")
    params:
        settings=plan.pseudo_label_settings,
    shell:
        "{python} stages.make_pseudo_labels --settings {params.settings:q} --tiles {run.tiles.folder}"
        " --probabilities {input.probabilities} --masks {output.masks} --table {output.table} 3>&2 > {log} 2>&1"


rule pretrain:
    input:
        tiles=rules.prepare_tiles.output.tiles,
        encoder_weights=plan.encoder_weights,
        folds=plan.pretrain_folds,
        pseudo_labels=plan.pretrain_pseudo_labels,
    output:
        weights=pretraining.weights,
        history=pretraining.history,
    log:
        run.log("pretrain", "{model}_{scope}"),
    benchmark:
        run.benchmark("pretrain", "{model}_pretrain_{scope}")
    threads: plan.threads
    resources:
        gpu=plan.gpus,
        cpus_per_task=claims.cores,
        mem_mb=claims.megabytes,
        runtime=claims.pretrain_minutes,
    params:
        settings=plan.pretrain_settings,
    shell:
        "{python} stages.pretrain --settings {params.settings:q} --compute {plan.compute:q}"
        " --tiles {run.tiles.folder} --folds {input.folds} --pseudo-labels {input.pseudo_labels}"
        " --encoder-weights {input.encoder_weights}"
        f" --checkpoints {its_pretraining.checkpoints} --timing {its_pretraining.timing}"
        " --weights {output.weights} --history {output.history} 3>&2 > {log} 2>&1"


rule train_fold:
    input:
        tiles=rules.prepare_tiles.output.tiles,
        folds=rules.make_folds.output,
        encoder_weights=plan.fold_encoder_weights,
        start_from=plan.pretrained_weights,
        pseudo_labels=plan.added_pseudo_labels,
    output:
        snapshots=directory(fold.snapshots),
        table=fold.snapshots_table,
        history=fold.history,
    log:
        run.log("train_fold", "{model}_fold{fold}"),
    benchmark:
        run.benchmark("train_fold", "{model}_fold{fold}")
    threads: plan.threads
    resources:
        gpu=plan.gpus,
        cpus_per_task=claims.cores,
        mem_mb=claims.megabytes,
        runtime=claims.train_minutes,
    params:
        settings=plan.train_settings,
    shell:
        "{python} stages.train_fold --settings {params.settings:q} --compute {plan.compute:q}"
        " --tiles {run.tiles.folder} --folds {input.folds} --fold {wildcards.fold}"
        " --encoder-weights {input.encoder_weights} --start-from {input.start_from} --pseudo-labels {input.pseudo_labels}"
        f" --checkpoints {its_fold.checkpoints} --timing {its_fold.timing}"
        " --snapshots {output.snapshots} --table {output.table} --history {output.history} 3>&2 > {log} 2>&1"


rule predict_fold:
    input:
        tiles=rules.prepare_tiles.output.tiles,
        folds=rules.make_folds.output,
        snapshots=rules.train_fold.output.snapshots,
        table=rules.train_fold.output.table,
    output:
        held_out=temp(fold.held_out),
        test=[until_blended(fold.test)] if plan.shards == 1 else [],
        members=fold.members,
    log:
        run.log("predict_fold", "{model}_fold{fold}"),
    benchmark:
        run.benchmark("predict_fold", "{model}_fold{fold}")
    threads: plan.threads
    resources:
        gpu=plan.gpus,
        cpus_per_task=claims.cores,
        mem_mb=claims.megabytes,
        runtime=claims.predict_minutes,
    params:
        settings=plan.predict_settings,
    shell:
        "{python} stages.predict_fold --settings {params.settings:q} --compute {plan.compute:q}"
        " --tiles {run.tiles.folder} --folds {input.folds} --fold {wildcards.fold}"
        " --snapshots {input.snapshots} --table {input.table} --members {output.members}"
        " --held-out {output.held_out} --test {output.test} 3>&2 > {log} 2>&1"


if plan.shards > 1:

    # One part of the test tiles. A blend reads all parts where they lie.
    rule predict_shard:
        input:
            tiles=rules.prepare_tiles.output.tiles,
            snapshots=rules.train_fold.output.snapshots,
            members=rules.predict_fold.output.members,
        output:
            until_blended(fold.shard("{shard}", plan.shards)),
        log:
            run.log("predict_shard", "{model}_fold{fold}_{shard}"),
        benchmark:
            run.benchmark("predict_shard", "{model}_fold{fold}_{shard}")
        threads: plan.threads
        resources:
            gpu=plan.gpus,
            cpus_per_task=claims.cores,
            mem_mb=claims.megabytes,
            runtime=claims.predict_minutes,
        params:
            settings=plan.shard_settings,
        shell:
            "{python} stages.predict_shard --settings {params.settings:q} --compute {plan.compute:q}"
            " --tiles {run.tiles.folder} --snapshots {input.snapshots} --members {input.members}"
            " --shard {wildcards.shard} --out {output} 3>&2 > {log} 2>&1"


rule blend:
    input:
        labelled=plan.labelled_members,
        test=plan.test_members,
    output:
        out_of_fold=ensemble.out_of_fold,
        test=ensemble.test,
        stretch=ensemble.stretch,
    log:
        run.log("blend", "{name}"),
    benchmark:
        run.benchmark("blend", "{name}")
    params:
        settings=plan.blend_settings,
    shell:
        "{python} stages.blend --settings {params.settings:q} --labelled {input.labelled} --test {input.test}"
        " --out-of-fold-out {output.out_of_fold} --test-out {output.test} --stretch-out {output.stretch} 3>&2 > {log} 2>&1"


rule score:
    input:
        tiles=rules.prepare_tiles.output.tiles,
        folds=rules.make_folds.output,
        mosaics=rules.assemble_mosaics.output.mosaics,
        out_of_fold=[run.ensemble(name).out_of_fold for name in plan.names],
        test=[run.ensemble(name).test for name in plan.names],
        true_test_masks=plan.true_test_masks(),
        hidden_masks=rules.prepare_tiles.output.hidden_masks,
    output:
        scores=report(run.scores, caption="report/captions/scores.rst", category="Scores"),
        threshold_curve=run.threshold_curve,
        tile_scores=run.tile_scores,
        differences=report(run.differences, caption="report/captions/differences.rst", category="Scores"),
    log:
        run.log("score"),
    benchmark:
        run.benchmark("score")
    params:
        settings=plan.score_settings(),
    shell:
        "{python} stages.score --settings {params.settings:q} --tiles {run.tiles.folder}"
        " --folds {input.folds} --mosaics {input.mosaics} --names {plan.names} --out-of-fold {input.out_of_fold}"
        " --test {input.test} --true-test-masks {input.true_test_masks} --hidden-masks {input.hidden_masks}"
        " --scores {output.scores} --threshold-curve {output.threshold_curve} --tile-scores {output.tile_scores}"
        " --differences {output.differences} 3>&2 > {log} 2>&1"


if plan.config.scores_pseudo_labels:

    rule score_pseudo_labels:
        input:
            tiles=rules.prepare_tiles.output.tiles,
            masks=plan.pseudo_label_masks(),
            tables=plan.pseudo_label_tables(),
            true_test_masks=plan.true_test_masks(),
            hidden_masks=plan.hidden_masks(),
        output:
            run.pseudo_label_scores,
        log:
            run.log("score_pseudo_labels"),
        benchmark:
            run.benchmark("score_pseudo_labels")
        shell:
            "{python} stages.score_pseudo_labels --sets {plan.pseudo_label_sets} --tiles {run.tiles.folder}"
            " --masks {input.masks} --tables {input.tables} --true-test-masks {input.true_test_masks}"
            " --hidden-masks {input.hidden_masks} --out {output} 3>&2 > {log} 2>&1"


rule postprocess:
    input:
        tiles=rules.prepare_tiles.output.tiles,
        mosaics=rules.assemble_mosaics.output.mosaics,
        probabilities=final.test,
    output:
        masks=run.masks,
        changes=run.changes,
    log:
        run.log("postprocess"),
    benchmark:
        run.benchmark("postprocess")
    params:
        settings=plan.settings("submission", "postprocess"),
    shell:
        "{python} stages.postprocess --settings {params.settings:q} --probabilities {input.probabilities}"
        " --tiles {run.tiles.folder} --mosaics {input.mosaics} --masks-out {output.masks}"
        " --changes-out {output.changes} 3>&2 > {log} 2>&1"


rule write_submission:
    input:
        tiles=rules.prepare_tiles.output.tiles,
        masks=rules.postprocess.output.masks,
    output:
        report(run.submission, caption="report/captions/submission.rst", category="Masks"),
    log:
        run.log("write_submission"),
    benchmark:
        run.benchmark("write_submission")
    shell:
        "{python} stages.write_submission --masks {input.masks} --tiles {run.tiles.folder}"
        " --out {output} 3>&2 > {log} 2>&1"


rule write_report:
    input:
        tiles=rules.prepare_tiles.output.tiles,
        folds=rules.make_folds.output,
        scores=rules.score.output,
        mosaics=rules.assemble_mosaics.output,
        predictions=[final.out_of_fold, final.test],
        histories=plan.histories(),
        pseudo_labels=plan.pseudo_label_tables(),
        pseudo_label_scores=plan.pseudo_label_scores(),
        masks=rules.postprocess.output,
        submission=rules.write_submission.output,
        other_runs=plan.compared_runs(),
    output:
        report=report(run.report, caption="report/captions/report.rst", category="Report"),
        mosaics=report(run.mosaics_page, caption="report/captions/mosaics.rst", category="Report"),
    log:
        run.log("write_report"),
    benchmark:
        run.benchmark("write_report")
    params:
        settings=plan.report_settings(),
    shell:
        "{python} stages.write_report --settings {params.settings:q} --run {run.folder} --reads {input}"
        " --report-out {output.report} --mosaics-out {output.mosaics} 3>&2 > {log} 2>&1"


# Applies a trained run to other images. The weights are not inputs: a prediction must train nothing.
if plan.config.predict:

    rule predict_images:
        output:
            masks=directory(prediction.masks),
            probabilities=directory(prediction.probabilities),
            table=prediction.table,
        log:
            run.log("predict_images", plan.prediction_name),
        benchmark:
            run.benchmark("predict_images", plan.prediction_name)
        threads: plan.threads
        resources:
            gpu=plan.gpus,
            cpus_per_task=claims.cores,
            mem_mb=claims.megabytes,
            runtime=claims.image_minutes,
        params:
            settings=plan.image_settings,
        shell:
            "{python} stages.predict_images --settings {params.settings:q} --compute {plan.compute:q}"
            " --run {run.folder} --checkpoints {prediction.checkpoints}"
            " --masks {output.masks} --probabilities {output.probabilities} --table {output.table} 3>&2 > {log} 2>&1"


onstart:
    left_over.adopt(engine)
    dry_run.check(engine, plan.config)
    at_start.look(engine, plan.config)
    run_hooks.save_config(plan.config)
    watch.begin(engine, plan.config)


onsuccess:
    print(run_hooks.summary(plan.config), file=sys.stderr)
    at_start.after_success(plan.config)


onerror:
    print(run_hooks.ADVICE_AFTER_FAILURE, file=sys.stderr)
