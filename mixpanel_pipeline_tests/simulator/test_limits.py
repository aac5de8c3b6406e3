"""Rate limits (reference A1.7): a rolling hour, a second, and requests at the same time."""

import time

from mixpanel_pipeline.simulator import Limits, Project, SimulatorServer
from mixpanel_pipeline_tests.simulator.client import TODAY, Client, add_events


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_hour_is_a_rolling_window(project: Project, client: Client) -> None:
    clock = Clock()
    project.limits = Limits(per_hour=2, clock=clock)
    assert client.export().status_code == 200
    clock.now += 600
    assert client.export().status_code == 200
    refused = client.export()
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "3000"
    assert refused.headers["RateLimit"] == '"project";r=0;t=3000, "project-concurrency";r=100'
    assert refused.headers["RateLimit-Policy"] == (
        '"project";q=2;w=3600, "project-concurrency";q=100;qu="concurrent-requests"'
    )
    assert "(3/2 queries running in the last hour)" in refused.json()["error"]
    assert "project_id: 12345" in refused.json()["error"]
    assert refused.json()["request"].startswith(client.server.url)
    clock.now += 3000
    assert client.export().status_code == 200
    assert client.export().status_code == 429


def test_refused_and_bad_requests_cost_nothing(project: Project, client: Client) -> None:
    clock = Clock()
    project.limits = Limits(per_hour=1, clock=clock)
    assert client.export(to_date="2030-01-01").status_code == 400
    assert client.export().status_code == 200
    for _ in range(3):
        assert client.export().status_code == 429
    clock.now += 3600
    assert client.export().status_code == 200


def test_three_a_second(project: Project, client: Client) -> None:
    clock = Clock()
    project.limits = Limits(per_second=3, clock=clock)
    assert [client.export().status_code for _ in range(4)] == [200, 200, 200, 429]
    assert client.export().headers["Retry-After"] == "1"
    clock.now += 1
    assert client.export().status_code == 200


def test_a_download_counts_until_its_reader_has_gone(server: SimulatorServer, client: Client) -> None:
    server.project = Project(events_per_day=20_000, today=lambda: TODAY, limits=Limits(concurrent=1))
    # Uncompressed that is more than socket buffers hold, so the server is busy until somebody reads.
    with client.export(stream=True, headers={"Accept-Encoding": "identity"}):
        refused = client.export()
        assert refused.status_code == 429
        assert "(2/1 queries running concurrently)" in refused.json()["error"]
        assert refused.headers["RateLimit"] == '"project";r=59, "project-concurrency";r=0;t=10'
    deadline = time.monotonic() + 10
    while server.project.limits.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert client.export(limit="1").status_code == 200


def test_a_place_is_freed_after_every_kind_of_end(project: Project, client: Client) -> None:
    project.limits = Limits(concurrent=1)
    add_events(project, 3)
    project.faults.add("bad_gateway_502")
    project.faults.add("cut_line")
    assert client.export().status_code == 502
    assert client.export(where='1 and properties["a"]').status_code == 400
    assert [client.export().status_code for _ in range(2)] == [200, 200]


def test_off_by_default_and_as_published() -> None:
    limits = Project().limits
    assert (limits.per_hour, limits.per_second, limits.concurrent) == (None, None, None)
    published = Limits.as_published()
    assert (published.per_hour, published.per_second, published.concurrent) == (60, 3, 100)
