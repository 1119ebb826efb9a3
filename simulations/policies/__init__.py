"""Who decides: our own decision core, and the autoscalers it is compared with."""
