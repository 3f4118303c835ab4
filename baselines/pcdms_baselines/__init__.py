"""Methods that PCDMs is compared with."""
