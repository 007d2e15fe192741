"""Networks: light backbones with a fusion decoder, a pocket network, adapters, and what a network costs."""

from standout.names import late_names

_LATE = {
    "LEVELS": "standout.networks.network:LEVELS",
    "NETWORKS": "standout.networks.build:NETWORKS",
    "Cost": "standout.networks.costs:Cost",
    "FusionNet": "standout.networks.fusion:FusionNet",
    "Network": "standout.networks.network:Network",
    "adapt": "standout.networks.bridges:adapt",
    "build_network": "standout.networks.build:build_network",
    "cost": "standout.networks.costs:cost",
}

__all__ = [*_LATE]  # noqa: PLE0604 - every name is a string of the table above

__getattr__, __dir__ = late_names(__name__, _LATE)
