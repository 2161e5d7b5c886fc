"""What is kept of an upstream when the routes are read anew."""

from dataclasses import replace

from chassis.metrics import Metrics
from gateway.proxy.upstreams import Upstreams
from gateway.routing.table import Upstream

URLS = ("http://one:80", "http://two:8080")
MILL = Upstream(name="mill", urls=URLS, connect_timeout=1.0, service=False)
GAUGE = "gatehouse_gateway_upstream_address_out"


class TestUse:
    """`Upstreams.use`."""

    def test_keeps_what_has_not_changed(self) -> None:
        """An equal upstream of another reading is the same."""
        upstreams = Upstreams(Metrics(), lambda: 0.0)
        upstreams.use([MILL])
        addresses, slots = upstreams.addresses(MILL), upstreams.slots(MILL, None)
        again = replace(MILL)
        upstreams.use([again])
        assert upstreams.addresses(again) is addresses
        assert upstreams.slots(again, None) is slots

    def test_forgets_the_rest(self) -> None:
        """Also in the metrics: an address that is not used any more is not out."""
        metrics = Metrics()
        upstreams = Upstreams(metrics, lambda: 0.0)
        upstreams.use([MILL])
        slots = upstreams.slots(MILL, "some")
        fewer = replace(MILL, urls=URLS[:1])
        upstreams.use([fewer])
        found = {
            address: metrics.registry.get_sample_value(
                GAUGE, {"upstream": "mill", "address": address}
            )
            for address in ("one:80", "two:8080")
        }
        assert found == {"one:80": 0.0, "two:8080": None}
        assert upstreams.slots(fewer, "some") is not slots
