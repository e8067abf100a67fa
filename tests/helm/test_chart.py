"""The chart, rendered by the real helm under the values that users choose."""

import inspect
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from scaletune.api import schema
from scaletune.shells.kubernetes import settings
from scaletune.shells.kubernetes.settings import Settings
from tests.helm.chart import CHART, ROOT, VALUES, HelmError, Json, helm, of_kind, rendered

EACH_VALUES = pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)


def _rules(manifests: list[Json], kind: str) -> list[Json]:
    return [rule for role in of_kind(manifests, kind) for rule in role["rules"]]


def _definitions(manifests: list[Json]) -> list[Json]:
    kinds = ("CustomResourceDefinition", "ValidatingAdmissionPolicy")
    return of_kind(manifests, *kinds, "ValidatingAdmissionPolicyBinding")


@EACH_VALUES
def test_helm_finds_nothing_wrong(values: Mapping[str, Any]) -> None:
    said = helm("lint", "--strict", str(CHART), values=values)

    assert "[WARNING]" not in said


@EACH_VALUES
def test_every_pod_satisfies_the_restricted_level_and_writes_nothing(
    values: Mapping[str, Any],
) -> None:
    for deployment in of_kind(rendered(values), "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*pod["containers"], *pod.get("initContainers", [])):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"]["cpu"]


@EACH_VALUES
def test_every_image_is_of_the_charts_version(values: Mapping[str, Any]) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    pods = [each["spec"]["template"]["spec"] for each in of_kind(rendered(values), "Deployment")]

    images = [container["image"] for pod in pods for container in pod["containers"]]
    assert images
    assert {image.rpartition(":")[2] for image in images} == {version}


def test_the_chart_is_of_the_packages_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["version"] == chart["appVersion"] == project["version"]


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "not kept"])
def test_the_definitions_are_the_generated_ones(keep: bool) -> None:
    kept = {"helm.sh/resource-policy": "keep"}
    expected = []
    for text in schema.files().values():
        for document in yaml.safe_load_all(text):
            if keep:
                document["metadata"]["annotations"] = kept
            expected.append(document)

    found = _definitions(rendered({"crds": {"keep": keep}}))

    def by_name(each: Json) -> tuple[str, str]:
        return each["kind"], each["metadata"]["name"]

    assert sorted(found, key=by_name) == sorted(expected, key=by_name)


def test_the_definitions_can_be_left_to_somebody_else() -> None:
    assert _definitions(rendered({"crds": {"install": False}})) == []


def test_serving_one_namespace_needs_no_more_than_a_role_in_it() -> None:
    everywhere = rendered({"rbac": {"aggregate": False}})
    inside = rendered({"rbac": {"aggregate": False}, "watch": {"namespaces": ["team"]}})

    [role] = [each for each in of_kind(inside, "Role") if each["metadata"]["namespace"] == "team"]
    assert all(rule in _rules(everywhere, "ClusterRole") for rule in role["rules"])
    assert not any(rule in _rules(inside, "ClusterRole") for rule in role["rules"])
    # Every role is bound to the account, and by nothing but roles of its own.
    for kind in ("Role", "ClusterRole"):
        names = {each["metadata"]["name"] for each in of_kind(inside, kind)}
        bound = of_kind(inside, f"{kind}Binding")
        assert {each["roleRef"]["name"] for each in bound} == names
        assert all(
            each["subjects"]
            == [{"kind": "ServiceAccount", "name": "scaletune", "namespace": "scaletune"}]
            for each in bound
        )


def test_no_rule_grants_by_a_star() -> None:
    rules = _rules(rendered(), "ClusterRole") + _rules(rendered(), "Role")

    assert not [rule for rule in rules for words in rule.values() if "*" in words]


def test_two_releases_share_no_object() -> None:
    def names(release: str, namespace: str) -> set[tuple[str, str, str]]:
        made = rendered({"crds": {"install": False}}, release, namespace)
        return {
            (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"])
            for each in made
        }

    first, beside, elsewhere = names("a", "one"), names("b", "one"), names("a", "two")
    assert not first & beside
    assert not first & elsewhere


@EACH_VALUES
def test_the_operator_understands_what_the_chart_tells_it(values: Mapping[str, Any]) -> None:
    [deployment] = of_kind(rendered(values), "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in container["env"]}

    read = Settings.of(told)

    assert read.namespaces == tuple(values.get("watch", {}).get("namespaces", ()))
    assert read.lease_name == "scaletune"
    assert [port["containerPort"] for port in container["ports"]] == [read.port]
    assert [name for name in told if name not in inspect.getsource(settings)] == []
    if not values:
        assert read == Settings(), "both have the same defaults"


def test_the_token_for_prometheus_is_a_file_that_the_operator_reads() -> None:
    values = {"prometheus": {"url": "http://prometheus:9090", "tokenSecret": {"name": "token"}}}
    [deployment] = of_kind(rendered(values), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    [container], [volume] = pod["containers"], pod["volumes"]
    read = Settings.of({each["name"]: each["value"] for each in container["env"]})

    assert read.prometheus is not None
    assert container["volumeMounts"][0]["name"] == volume["name"]
    folder = container["volumeMounts"][0]["mountPath"]
    assert read.prometheus.token_file == Path(folder, volume["secret"]["items"][0]["path"])
    assert volume["secret"]["secretName"] == "token"


def test_a_budget_for_disruptions_never_blocks_the_only_replica() -> None:
    assert of_kind(rendered(), "PodDisruptionBudget")
    assert not of_kind(rendered({"replicas": 1}), "PodDisruptionBudget")


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 1},
        {"image": {"repo": "x"}},
        {"scrapeSeconds": 0},
        {"watch": {"namespaces": ["Not A Name"]}},
    ],
    ids=["unknown value", "unknown part", "out of bounds", "no name"],
)
def test_a_wrong_value_is_refused_and_named(values: dict[str, Any]) -> None:
    with pytest.raises(HelmError, match=next(iter(values))):
        rendered(values)


def test_the_schema_knows_every_value_and_no_other() -> None:
    known = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())

    def paths(value: object, part: Mapping[str, Any]) -> set[str]:
        if not isinstance(value, dict) or "properties" not in part:
            return {""}
        assert part["additionalProperties"] is False
        return {
            f".{name}{path}"
            for name, each in part["properties"].items()
            if name != "global"  # Helm's own, for charts that contain this one
            for path in (paths(value[name], each) if name in value else ["?"])
        }

    jsonschema.Draft7Validator.check_schema(known)
    jsonschema.validate(defaults, known)
    without_default = {path for path in paths(defaults, known) if path.endswith("?")}
    assert without_default == {".resources.claims?"}
