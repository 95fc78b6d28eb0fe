"""What a person deploys with: containers, odoo.conf, requirements. Docker itself does not run here."""

import configparser
import re
from pathlib import Path

import compose_spec
import pytest

ROOT = Path(__file__).parents[2]
BASE, SCALE = "docker-compose.yml", "docker-compose.scale.yml"
ONCE = {"install", "demo-data"}  # run at each start and end


def parse(text):
    """Read compose text by the specification; what it does not know is an error."""
    options = compose_spec.PyOptions()
    options.apply_merge = True
    return options.from_yaml(text).to_dict()


def read(name):
    return parse((ROOT / name).read_text())


@pytest.fixture(scope="module")
def base():
    return read(BASE)["services"]


@pytest.fixture(scope="module")
def scaled(base):
    """The services with the override over them, as far as these tests look at it."""
    override = read(SCALE)["services"]
    return {name: {**base.get(name, {}), **override.get(name, {})} for name in {*base, *override}}


@pytest.mark.parametrize("planted", [("healthcheck:", "healthchek:"), ("service_healthy", "service_well")])
def test_the_specification_finds_a_slip(planted):
    text = (ROOT / BASE).read_text().replace(*planted)
    with pytest.raises(ValueError, match=planted[1].strip(":")):
        parse(text)


def test_the_images_are_the_official_ones(base):
    assert base["db"]["image"].startswith("postgres:")
    assert "\nFROM odoo:17.0\n" in (ROOT / "docker" / "odoo.Dockerfile").read_text()


def test_what_stays_has_a_health_check_and_what_ends_is_waited_for(base, scaled):
    checked = {name for name, service in scaled.items() if "test" in (service.get("healthcheck") or {})}
    assert checked == set(scaled) - ONCE
    assert base["odoo"]["depends_on"] == {"install": {"condition": "service_completed_successfully"}}


def volumes_of(service):
    """Give (source, target) of a service's mounts."""
    mounts = (text.split(":") for text in map(str, service.get("volumes", [])))
    return [(parts[0], parts[1]) for parts in mounts]


def test_all_that_is_mounted_exists(scaled):
    kept = read(BASE)["volumes"]
    mounts = [mount for service in scaled.values() for mount in volumes_of(service)]
    assert ("./odoo.conf", "/etc/odoo/odoo.conf") in mounts
    for source, _target in mounts:
        assert (ROOT / source).exists() if source.startswith(".") else source in kept


def test_what_must_outlive_a_container_is_in_a_named_volume(base):
    for name, target in {
        "db": "/var/lib/postgresql/data",
        "odoo": "/var/lib/odoo",
        "simulator": "/data",
    }.items():
        [source] = [source for source, place in volumes_of(base[name]) if place == target]
        assert not source.startswith((".", "/"))


def test_only_this_machine_reaches_the_demo(scaled):
    ports = [str(port) for service in scaled.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_scaled_there_are_several_web_containers_and_one_job_runner(scaled):
    assert scaled["odoo"]["environment"]["ODOO_QUEUE_JOB_CHANNELS"] == "root:0"
    assert scaled["odoo"]["deploy"]["replicas"] > 1
    assert "ODOO_QUEUE_JOB_CHANNELS" not in scaled["jobs"]["environment"]
    assert "deploy" not in scaled["jobs"]
    assert {source for source, _target in volumes_of(scaled["jobs"])} == {
        source for source, _target in volumes_of(scaled["odoo"])
    }


def test_nginx_turns_its_own_errors_into_come_again_on_the_webhook_only():
    text = (ROOT / "docker" / "nginx.conf").read_text()
    webhook = re.search(r"location /marketplace_integration/webhook/ \{(.*?)\n    \}", text, re.S)[1]
    for directive in (
        "client_max_body_size 1m",
        "limit_req zone=webhook",
        "limit_req_status 503",
        "proxy_request_buffering on",
        "error_page 502 503 504 = @come_again",
    ):
        assert f"{directive}" in webhook
    assert text.count("@come_again") == 2, "here and where it is defined"
    assert "add_header Retry-After" in text


@pytest.fixture(scope="module")
def conf():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "odoo.conf")
    return parser


def test_jobs_leave_two_workers_to_webhooks_and_people(conf):
    capacity = int(re.fullmatch(r"root:(\d+)", conf["queue_job"]["channels"])[1])
    assert 1 <= capacity <= int(conf["options"]["workers"]) - 2


def test_the_webhook_answers_without_a_database(conf):
    modules = conf["options"]["server_wide_modules"].split(",")
    assert {"base", "web", "queue_job", "cartona_integration"} == set(modules)


def test_what_runs_in_production_is_pinned():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in wanted), wanted
    [queue_job] = [line for line in wanted if line.startswith("odoo-addon-queue_job==17.0.")]
    assert tuple(map(int, queue_job.split("==17.0.")[1].split("."))) >= (1, 5)
