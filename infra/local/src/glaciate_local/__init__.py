"""The local cloud: MiniStack with its gaps filled, and the deployment of the SAM template to it."""
