"""Nodes that pods of one size are packed on, and who adds and removes them."""

from __future__ import annotations

from collections.abc import Iterator

from simulations.plant.parameters import Nodes


class _Node:
    __slots__ = ("empty_since_ms", "pods", "ready_ms")

    def __init__(self, ready_ms: int) -> None:
        self.ready_ms = ready_ms
        self.pods = 0
        self.empty_since_ms = ready_ms


class NodePool:
    """The nodes of one tier.

    Pods go to the fullest node with room, ready ones first, and leave the emptiest: what
    ``MostAllocated`` scoring and a consolidating cluster autoscaler come to for pods of one size.

    Args:
        nodes: Parameters.
        delays_ms: Provisioning time of the n-th added node.
        pods: Placed at the beginning.
    """

    def __init__(self, nodes: Nodes, delays_ms: Iterator[int], *, pods: int) -> None:
        self._parameters = nodes
        self._delays_ms = delays_ms
        needed = -(-pods // nodes.pods_per_node)
        self._nodes = [_Node(0) for _ in range(min(max(nodes.initial, needed), nodes.maximum))]
        self.place(0, pods)

    @property
    def count(self) -> int:
        """Nodes that are paid for, those being provisioned included."""
        return len(self._nodes)

    @property
    def room(self) -> int:
        """Most pods there can ever be."""
        return self._parameters.maximum * self._parameters.pods_per_node

    def place(self, now_ms: int, pods: int) -> list[int]:
        """Place new pods; return how long each waits for its node, milliseconds."""
        return [self._place(now_ms) for _ in range(pods)]

    def release(self, now_ms: int, pods: int) -> None:
        """Free the places of removed pods."""
        for _ in range(pods):
            node = min((node for node in self._nodes if node.pods), key=lambda node: node.pods)
            node.pods -= 1
            if not node.pods:
                node.empty_since_ms = now_ms

    def remove_idle(self, now_ms: int) -> None:
        """Remove nodes that have been empty for long enough, down to the initial count."""
        edge_ms = now_ms - round(self._parameters.idle_seconds * 1000)
        for node in list(self._nodes):
            if len(self._nodes) <= self._parameters.initial:
                return
            if not node.pods and max(node.empty_since_ms, node.ready_ms) <= edge_ms:
                self._nodes.remove(node)

    def _place(self, now_ms: int) -> int:
        size = self._parameters.pods_per_node
        free = [node for node in self._nodes if node.pods < size]
        if free:
            node = min(free, key=lambda node: (max(node.ready_ms, now_ms), -node.pods))
        else:
            node = _Node(now_ms + next(self._delays_ms))
            self._nodes.append(node)
        node.pods += 1
        return max(0, node.ready_ms - now_ms)
