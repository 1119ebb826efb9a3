"""Where we deliberately differ from KEDA: rules on inputs, each with its reason.

A replay function decides from a case's **inputs** whether a rule applies and returns
``Differs(rule)``; it still asserts what we do instead. Case names never appear here.
"""

from __future__ import annotations

RULES: dict[str, str] = {
    "paused-replicas-invalid": (
        "A paused-replicas annotation that is no replica count is reported and the workload stays "
        "where it is; KEDA ignores the pause or writes the impossible count."
    ),
    "paused-holds-in-the-decision": (
        "KEDA stops its loop for a paused object before the executor runs; here the decision "
        "itself holds, so that histories go on."
    ),
    "errors-never-lower-replicas": (
        "With fallback.replicas 0 KEDA goes to zero or idle on failures below the threshold. "
        "A failing trigger never lowers replicas here."
    ),
    "failed-write": (
        "KEDA does not refresh lastActiveTime when its activation cannot be written; here it is "
        "the time there was work, whatever became of the write."
    ),
    "fallback-condition-is-current": (
        "KEDA sets the Fallback condition from the failure counts before the present read, so it "
        "lags by one; here it says what is the case now."
    ),
    "fallback-fractional-target": (
        "KEDA reads a modifier's target as an integer to validate fallback, so a fractional "
        "target silently disables it."
    ),
    "modifiers-missing-value": (
        "A trigger without a value counts as 0 in KEDA's formula; here the composite fails."
    ),
    "modifiers-not-finite": (
        "A formula that divides by zero gives a platform-dependent integer in KEDA; here it is an "
        "error."
    ),
    "modifiers-negative-composite": (
        "KEDA hands a negative composite to the HPA; here it is clamped to 0 as other values are."
    ),
    "activation-target-is-checked-before": (
        "An activationTarget that is no number is refused with the object; KEDA finds out at "
        "every poll and reports a trigger error."
    ),
    "composite-without-external-triggers": (
        "A formula that needs no trigger has a value here; KEDA activates on it but serves the "
        "HPA an error."
    ),
    "last-metric-of-a-trigger": (
        "A trigger with several metrics has one name in the formula. The last metric counts, as "
        "in KEDA's poll; what KEDA serves the HPA depends on the order of its reads."
    ),
    "job-deduction-is-optional": (
        "KEDA crashes on the custom strategy without customScalingQueueLengthDeduction; here it "
        "counts as 0."
    ),
    "job-share-is-a-number": (
        "customScalingRunningJobPercentage NaN is no number: the default strategy applies, as "
        "with any other text that is none."
    ),
}
"""Reason by rule key."""
