"""A Trial's attempt as a Job: what the user's template says wins, what it leaves out is safe."""

import json
from typing import Any

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.shells.kubernetes import workload
from scaletune.shells.kubernetes.seen.snapshot import read_study, read_trial
from scaletune_trainer import wire
from tests.shells.kubernetes import given

Json = dict[str, Any]


def _study(container: Json | None = None, spec: Json | None = None, **study: Any) -> Study:
    trainer = {"name": "trainer", "image": "example", "command": ["python", "train.py"]}
    pod = {"containers": [{**trainer, **(container or {})}], **(spec or {})}
    return given.study(pod={"spec": pod}, **study)


def _trial(**status: Any) -> Trial:
    return given.trial(attempts=[given.attempt(2)], **status)


def _pod(study: Study) -> Json:
    spec: Json = workload.job(study, _trial())["spec"]["template"]["spec"]
    return spec


def _environment(study: Study, trial: Trial | None = None) -> dict[str, Json]:
    job = workload.job(study, trial or _trial())
    [trainer] = job["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each for each in trainer["env"]}


def test_an_attempt_is_one_indexed_job_that_never_restarts_or_goes_away_by_itself() -> None:
    spec = workload.job(_study(), _trial())["spec"]

    assert (spec["completionMode"], spec["completions"], spec["backoffLimit"]) == ("Indexed", 1, 0)
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert not {"ttlSecondsAfterFinished", "activeDeadlineSeconds"} & spec.keys()


def test_the_name_of_a_job_follows_from_trial_and_attempt() -> None:
    metadata = workload.job(_study(), _trial())["metadata"]

    assert metadata["name"] == "s-0000-a2"
    assert metadata["ownerReferences"][0]["uid"] == "uid-s-0000"


def test_the_users_command_and_arguments_are_wrapped_in_our_first_process() -> None:
    [trainer] = _pod(_study({"command": ["bash", "go.sh"], "args": ["--lr", "$(params.x)"]}))[
        "containers"
    ]

    assert trainer["command"] == [
        *("python3", "-m", "scaletune_trainer.main", "--"),
        *("bash", "go.sh", "--lr", "$(params.x)"),
    ]
    assert "args" not in trainer


def test_the_python_of_the_users_command_runs_our_first_process_too() -> None:
    [trainer] = _pod(_study({"command": ["/opt/env/bin/python3.11", "train.py"]}))["containers"]

    assert trainer["command"][:2] == ["/opt/env/bin/python3.11", "-m"]


def test_a_plain_template_satisfies_the_restricted_level() -> None:
    pod = _pod(_study())

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_what_the_template_says_wins_over_every_default() -> None:
    context = {"capabilities": {"add": ["IPC_LOCK"]}, "allowPrivilegeEscalation": True}
    spec = {"terminationGracePeriodSeconds": 30, "securityContext": {"runAsUser": 7}}
    study = _study({"securityContext": context}, spec)

    pod = _pod(study)

    assert pod["terminationGracePeriodSeconds"] == 30
    assert pod["securityContext"]["runAsUser"] == 7
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"] == {
        "capabilities": {"add": ["IPC_LOCK"], "drop": ["ALL"]},
        "allowPrivilegeEscalation": True,
    }
    assert _environment(study)["SCALETUNE_SHUTDOWN_SECONDS"]["value"] == "20"


def test_a_privileged_container_is_not_forbidden_what_it_may_do() -> None:
    pod = _pod(_study({"securityContext": {"privileged": True}}))

    assert "allowPrivilegeEscalation" not in pod["containers"][0]["securityContext"]


def test_the_trainer_is_told_its_trial_and_who_it_is() -> None:
    environment = _environment(_study())

    spec = wire.TrialSpec.from_json(environment["SCALETUNE_TRIAL"]["value"])
    assert (spec.study_uid, spec.trial, spec.attempt) == ("uid-s", "s-0000", 2)
    assert (spec.milestones, spec.parameters) == ((3, 9, 27), {"x": 0.25})
    uid = environment["SCALETUNE_INCARNATION"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert uid == "metadata.uid"
    assert environment["SCALETUNE_SHUTDOWN_SECONDS"]["value"] == "110"


def test_a_resumed_trial_is_told_its_checkpoint() -> None:
    trial = _trial(checkpoint={"incarnation": "earlier", "step": 3})

    value = _environment(_study(), trial)["SCALETUNE_TRIAL"]["value"]

    assert wire.TrialSpec.from_json(value).restore == wire.Place("earlier", 3)


def test_a_dollar_in_a_parameter_survives_the_kubelet() -> None:
    raw = given.raw_trial(attempts=[given.attempt()])
    raw["spec"]["parameters"] = [{"name": "x", "choice": "$(HOME)$$"}]

    value = _environment(_study(), read_trial(raw))["SCALETUNE_TRIAL"]["value"]

    expanded = value.replace("$$", "$")  # as the kubelet does
    assert json.loads(expanded)["parameters"] == {"x": "$(HOME)$$"}


def test_the_protocols_variables_are_not_the_users_to_set() -> None:
    env = [{"name": "SCALETUNE_TRIAL", "value": "mine"}, {"name": "HOME", "value": "/tmp"}]
    study = _study({"env": env})

    [trainer] = _pod(study)["containers"]
    names = [each["name"] for each in trainer["env"]]

    assert names.count("SCALETUNE_TRIAL") == 1
    assert _environment(study)["SCALETUNE_TRIAL"]["value"] != "mine"
    assert _environment(study)["HOME"]["value"] == "/tmp"


def test_the_directive_is_mounted_as_a_whole_directory_and_there_from_the_start() -> None:
    job = workload.job(_study(), _trial())
    pod = job["spec"]["template"]

    [mount] = [
        each
        for each in pod["spec"]["containers"][0]["volumeMounts"]
        if each["name"] == workload.DIRECTIVE
    ]
    told = wire.Directive.from_json(pod["metadata"]["annotations"]["scaletune.dev/directive"])
    assert "subPath" not in mount
    assert (told.generation, told.until, told.state) == (1, 3, wire.State.RUNNING)


def test_checkpoints_lie_on_the_studys_claim() -> None:
    volumes = {each["name"]: each for each in _pod(_study())["volumes"]}

    claim = volumes[workload.CHECKPOINTS]["persistentVolumeClaim"]
    assert claim == {"claimName": "checkpoints"}


def test_a_study_without_a_claim_keeps_its_journal_as_long_as_the_pod_lives() -> None:
    raw = given.raw_study(policy={})
    del raw["spec"]["checkpoints"]

    volumes = {each["name"]: each for each in _pod(read_study(raw))["volumes"]}

    assert volumes[workload.CHECKPOINTS]["emptyDir"] == {}


def test_shared_memory_of_ones_own_is_left_alone() -> None:
    mounts = [{"name": "mine", "mountPath": "/dev/shm"}]
    volumes = [{"name": "mine", "emptyDir": {"medium": "Memory", "sizeLimit": "64Gi"}}]

    pod = _pod(_study({"volumeMounts": mounts}, {"volumes": volumes}))

    paths = [each["mountPath"] for each in pod["containers"][0]["volumeMounts"]]
    assert paths.count("/dev/shm") == 1
    assert workload.SHARED_MEMORY not in {each["name"] for each in pod["volumes"]}


def test_a_queues_labels_stand_on_the_job_as_well() -> None:
    container = {"name": "trainer", "image": "example", "command": ["python", "train.py"]}
    labels = {"kueue.x-k8s.io/queue-name": "research"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}

    job = workload.job(given.study(pod=pod), _trial())

    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
    assert job["spec"]["template"]["metadata"]["labels"] == {
        "kueue.x-k8s.io/queue-name": "research",
        "scaletune.dev/study": "s",
        "scaletune.dev/trial": "s-0000",
        "scaletune.dev/attempt": "2",
    }


def test_the_studys_template_is_not_changed_by_making_a_job_of_it() -> None:
    study = _study()
    before = study.model_dump_json()

    workload.job(study, _trial())

    assert study.model_dump_json() == before


def test_a_container_without_a_command_is_a_problem_with_its_remedy() -> None:
    assert "has no command" in str(workload.problem(_study({"command": []})))
    assert workload.problem(_study()) is None


def test_all_pods_of_a_study_have_names_under_one_headless_service() -> None:
    service = workload.service(_study())

    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert _pod(_study())["subdomain"] == service["metadata"]["name"]
    assert service["metadata"]["ownerReferences"][0]["uid"] == "uid-s"


def test_what_deletes_checkpoints_has_the_trials_image_user_and_nodes_and_no_more() -> None:
    context = {"runAsUser": 7, "privileged": True, "capabilities": {"add": ["IPC_LOCK"]}}
    secret = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    container = {
        "command": ["/opt/env/bin/python", "train.py"],
        "resources": {"limits": {"nvidia.com/gpu": 8}},
        "securityContext": context,
        "env": [{"name": "PYTHONPATH", "value": "/opt"}, secret],
        "envFrom": [{"secretRef": {"name": "s"}}],
    }
    spec = {
        "nodeSelector": {"pool": "gpu"},
        "hostNetwork": True,
        "resourceClaims": [{"name": "gpu"}],
        "initContainers": [{"name": "download", "image": "i"}],
    }
    study = _study(container, spec)
    labels = {"team": "x", "kueue.x-k8s.io/queue-name": "q", "scaletune.dev/trial": "s-0000"}
    study.spec.template.pod["metadata"] = {"labels": labels}

    job = workload.cleanup(study, ["s-0001"], "digest")

    template = job["spec"]["template"]
    pod = template["spec"]
    [only] = pod["containers"]
    assert template["metadata"]["labels"] == {"team": "x"}
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert not {"hostNetwork", "resourceClaims", "initContainers"} & pod.keys()
    assert (pod["automountServiceAccountToken"], pod["restartPolicy"]) == (False, "Never")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert only["command"] == ["/opt/env/bin/python", "-m", "scaletune_trainer.cleanup"]
    assert only["securityContext"] == {
        "runAsUser": 7,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "nvidia.com/gpu" not in only["resources"]["limits"]
    names = [each["name"] for each in only["env"]]
    assert names == ["PYTHONPATH", "SCALETUNE_VOLUME", "SCALETUNE_CLEANUP"]
    assert "envFrom" not in only
    assert job["metadata"]["ownerReferences"][0]["uid"] == study.metadata.uid
