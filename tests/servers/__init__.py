"""Real servers for tests: started on free loopback ports, stopped whatever happens.

Each server is a context manager, plain or asynchronous, with ``kill()`` (no goodbye, as a crash)
and ``restart()`` (same port, same data). A machine that lacks the program raises
:class:`ServerMissing`, which the fixtures turn into a skip naming it.
"""

from tests.servers.external_scaler import GoExternalScaler
from tests.servers.kafka import KafkaServer
from tests.servers.process import Server, ServerMissing, free_port
from tests.servers.prometheus import PrometheusServer
from tests.servers.redis import RedisServer

__all__ = [
    "GoExternalScaler",
    "KafkaServer",
    "PrometheusServer",
    "RedisServer",
    "Server",
    "ServerMissing",
    "free_port",
]
