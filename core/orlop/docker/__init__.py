"""Docker Engine's data root with a graph-driver image store (Engine 1.10 to 28)."""
