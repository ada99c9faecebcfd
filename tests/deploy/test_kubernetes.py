"""The chart and the plain manifests: what helm makes of them is what Kubernetes takes, and as it should be."""

import json
import subprocess

import kubernetes_validate
import pytest
import yaml

from registry.settings import load_settings
from scripts.generate_manifests import DEPLOY, FOLDER, manifests, template
from tests.support.tools import tool

pytestmark = pytest.mark.needs_tools

CHART = DEPLOY / "helm" / "moorage"
OLDEST = "1.30"
KINDS = {
    "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Job", "NetworkPolicy", "PodDisruptionBudget", "Service",
    "ServiceAccount",
}  # fmt: skip
USUAL = {"existingSecret": "moorage"}
EVERYTHING = {
    **USUAL,
    "image": {"repository": "registry.example/moorage", "tag": "0.1.0-mine", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "pull"}],
    "config": 'authentication = true\nexternal_url = "https://registry.example"\nstorage_url = "s3://b"\n',
    "env": [{"name": "MOORAGE_LOG_LEVEL", "value": "debug"}],
    "web": {
        "replicas": 3, "processes": 4, "gracefulSeconds": 600, "preStopSeconds": 20,
        "nodeSelector": {"disk": "fast"}, "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
    },
    "worker": {"replicas": 2, "gracefulSeconds": 60, "nodeSelector": {"disk": "slow"}, "tolerations": [{"key": "a"}],
               "affinity": {"podAffinity": {}}},
    "autoscaling": {"enabled": False},
    "podDisruptionBudget": {"maxUnavailable": "25%"},
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/moorage"}},
    "service": {"type": "LoadBalancer", "port": 8080, "annotations": {"a": "b"}},
    "ingress": {"enabled": True, "className": "nginx", "host": "r.example", "tlsSecret": "tls"},
    "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}], "egress": []},
}  # fmt: skip


def render(values, tmp_path):
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    return [one for one in yaml.safe_load_all(template(tool("helm"), "--values", str(file))) if one]


def containers(objects):
    """Yield each pod of a workload, with the one container that it has."""
    for one in objects:
        if one["kind"] in ("Deployment", "Job"):
            pod = one["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            yield pod, container


def named(objects, kind, name):
    (found,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


@pytest.mark.parametrize("values", [USUAL, EVERYTHING], ids=["usual", "everything"])
@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_each_object_is_as_kubernetes_schemas_say(values, version, tmp_path):
    objects = render(values, tmp_path)
    for one in objects:
        kubernetes_validate.validate(one, version, strict=True)
    kinds = {one["kind"] for one in objects}
    assert kinds == (KINDS if values is USUAL else KINDS - {"HorizontalPodAutoscaler"} | {"Ingress"})


def test_a_name_that_kubernetes_does_not_know_is_found(tmp_path):
    """The check itself can fail."""
    one = named(render(USUAL, tmp_path), "Deployment", "moorage")
    one["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, OLDEST, strict=True)


@pytest.mark.parametrize("name", ["migrate.yaml", "moorage.yaml"])
def test_the_plain_manifests_are_what_the_chart_makes(name):
    assert (FOLDER / name).read_text() == manifests(tool("helm"))[name], "run make manifests"


@pytest.mark.parametrize("values", [USUAL, EVERYTHING], ids=["usual", "everything"])
def test_no_process_can_do_more_than_it_must(values, tmp_path):
    pods = list(containers(render(values, tmp_path)))
    assert len(pods) == 3
    for pod, container in pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes


@pytest.mark.parametrize("values", [USUAL, EVERYTHING], ids=["usual", "everything"])
def test_what_runs_has_time_to_end(values, tmp_path):
    pod = named(render(values, tmp_path), "Deployment", "moorage")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    graceful = int(variables["MOORAGE_GRACEFUL_TIMEOUT"].removesuffix("s"))
    asleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > asleep + graceful


@pytest.mark.parametrize("values", [USUAL, EVERYTHING], ids=["usual", "everything"])
def test_every_process_gets_settings_that_moorage_takes(values, tmp_path):
    objects = render(values, tmp_path)
    maps = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
    for pod, container in containers(objects):
        assert container["envFrom"] == [{"secretRef": {"name": "moorage"}}]
        variables = {one["name"]: one["value"] for one in container["env"]}
        (config,) = [volume["configMap"]["name"] for volume in pod["volumes"] if volume["name"] == "config"]
        (place,) = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "config"]
        assert variables.pop("MOORAGE_CONFIG") == f"{place}/moorage.toml"
        file = tmp_path / "moorage.toml"
        file.write_text(maps[config]["moorage.toml"])
        settings = load_settings({"config": str(file)}, variables)
        assert settings.authentication
        assert settings.storage_url.startswith("s3://")


def test_selectors_find_their_own_pods_alone(tmp_path):
    objects = render(USUAL, tmp_path)
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in objects if one["kind"] in ("Deployment", "Job")]

    def found(selector):
        return [labels["app.kubernetes.io/component"] for labels in pods if selector.items() <= labels.items()]

    assert found(named(objects, "Service", "moorage")["spec"]["selector"]) == ["web"]
    for kind, key in (
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
        ("Deployment", "selector"),
    ):
        for one in (one for one in objects if one["kind"] == kind):
            (part,) = found(one["spec"][key]["matchLabels"])
            assert part == one["metadata"]["labels"]["app.kubernetes.io/component"]


def test_the_schema_comes_first(tmp_path):
    objects = render(USUAL, tmp_path)
    job = named(objects, "Job", "moorage-migrate")
    hooks = [one for one in objects if "helm.sh/hook" in one["metadata"].get("annotations", {})]
    weights = {one["kind"]: int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in hooks}
    assert weights["ConfigMap"] < weights["Job"]
    # Nothing that the job names is part of what is installed after it.
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]


def test_web_pods_scale_and_others_do_not(tmp_path):
    objects = render(USUAL, tmp_path)
    assert "replicas" not in named(objects, "Deployment", "moorage")["spec"]
    assert named(objects, "HorizontalPodAutoscaler", "moorage")["spec"]["scaleTargetRef"]["name"] == "moorage"
    fixed = render(EVERYTHING, tmp_path)
    assert named(fixed, "Deployment", "moorage")["spec"]["replicas"] == 3


@pytest.mark.parametrize(
    ("values", "named_in_error"),
    [
        ({}, "existingSecret"),
        ({**USUAL, "relicas": 3}, "relicas"),
        ({**USUAL, "web": {"replicas": "three"}}, "replicas"),
        ({**USUAL, "web": {"prestopSeconds": 3}}, "prestopSeconds"),
    ],
)
def test_values_that_mean_nothing_are_refused(values, named_in_error, tmp_path, capfd):
    with pytest.raises(subprocess.CalledProcessError):
        render(values, tmp_path)
    assert named_in_error in capfd.readouterr().err


def test_every_value_of_the_chart_is_in_its_schema():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())

    def compare(value, about, place):
        if isinstance(value, dict) and "properties" in about:
            assert about.get("additionalProperties") is False, place
            assert value.keys() == about["properties"].keys() - {"global"}, place
            for name, inner in value.items():
                compare(inner, about["properties"][name], f"{place}.{name}")

    compare(values, schema, "values")


def test_helm_has_nothing_to_complain_of():
    done = subprocess.run(
        [tool("helm"), "lint", "--strict", "--set", "existingSecret=moorage", str(CHART)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
