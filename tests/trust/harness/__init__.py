"""What the experiments share: children that can be killed, stores in known states, counts."""
