"""What peers are made to do, each a script that runs in the peer's own environment and imports nothing of ours."""
