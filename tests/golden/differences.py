"""Where we deliberately differ from KEDA: rules on inputs, each with its reason.

A replay function decides from a case's **inputs** whether a rule applies and returns
``Differs(rule)``; it still asserts what we do instead. Case names never appear here.
"""

from __future__ import annotations

RULES: dict[str, str] = {
    "errors-never-lower-replicas": (
        "With fallback.replicas 0 KEDA goes to zero or idle on failures below the "
        "threshold. A failing trigger never lowers replicas here."
    ),
    "paused-replicas-invalid": (
        "A paused-replicas annotation that is no replica count is reported and the "
        "workload stays where it is; KEDA ignores the pause or writes the impossible "
        "count."
    ),
    "paused-holds-in-the-decision": (
        "KEDA stops its loop for a paused object before the executor runs; here the "
        "decision itself holds, so that histories go on."
    ),
    "failed-write": (
        "KEDA does not refresh lastActiveTime when its activation cannot be written; here "
        "it is the time there was work, whatever became of the write."
    ),
    "not-a-number": (
        "NaN, infinities and numbers beyond a quantity are errors; KEDA converts them to "
        "an arbitrary integer."
    ),
    "prometheus-error-answer": (
        "A body that says status error is an error, whatever its HTTP status; KEDA takes "
        "it for no data."
    ),
    "prometheus-no-result": (
        "An answer without a vector is no value; KEDA takes it for no data, and by default for 0."
    ),
    "prometheus-null-sample": ("A null sample is no data; KEDA reports -1."),
    "metrics-api-invalid-json": (
        "A body that is no JSON is an error; KEDA reads numbers out of a truncated one."
    ),
    "redis-unknown-lag": (
        "When the server does not know a group's lag KEDA reports -1, which reads as "
        "nothing to do; we report an error."
    ),
    "kafka-negative-lag": (
        "Offsets committed beyond the end of a partition (a topic made anew) can make "
        "KEDA's sum negative, which the HPA cannot work with; ours counts as zero."
    ),
    "fallback-condition-is-current": (
        "KEDA sets the Fallback condition from the failure counts before the present "
        "read, so it lags by one; here it says what is the case now."
    ),
    "fallback-fractional-target": (
        "KEDA reads a modifier's target as an integer to validate fallback, so a "
        "fractional target silently disables it."
    ),
    "modifiers-missing-value": (
        "A trigger without a value counts as 0 in KEDA's formula; here the composite fails."
    ),
    "modifiers-not-finite": (
        "A formula that divides by zero gives a platform-dependent integer in KEDA; here "
        "it is an error."
    ),
    "modifiers-negative-composite": (
        "KEDA hands a negative composite to the HPA; here it is clamped to 0 as other values are."
    ),
    "activation-target-is-checked-before": (
        "An activationTarget that is no number is refused with the object; KEDA finds out "
        "at every poll and reports a trigger error."
    ),
    "composite-without-external-triggers": (
        "A formula that needs no trigger has a value here; KEDA activates on it but "
        "serves the HPA an error."
    ),
    "last-metric-of-a-trigger": (
        "A trigger with several metrics has one name in the formula. The last metric "
        "counts, as in KEDA's poll; what KEDA serves the HPA depends on the order of its "
        "reads."
    ),
    "job-deduction-is-optional": (
        "KEDA crashes on the custom strategy without customScalingQueueLengthDeduction; "
        "here it counts as 0."
    ),
    "job-share-is-a-number": (
        "CustomScalingRunningJobPercentage NaN is no number: the default strategy "
        "applies, as with any other text that is none."
    ),
    "job-stays-findable": (
        "Labels and annotations of a ScaledJob are handed on to its jobs, but not those the jobs "
        "are found by; KEDA creates jobs for ever when such a label hides them."
    ),
    "metric-type-unknown": (
        "KEDA passes a metricType it does not know on to the HPA, which refuses the "
        "object later; we name the parameter at once."
    ),
    "target-useless": (
        "A target below a thousandth, or beyond int64 thousandths, divides by zero or "
        "overflows in the HPA; we refuse it."
    ),
    "address-without-scheme": (
        "An address that is no http(s) URL can never be read; KEDA notices on each poll, "
        "we when the object is applied."
    ),
    "tls-checked-on-use": (
        "Certificates are loaded off the loop when they are first used; a broken one is "
        "an error reading that names it, where KEDA fails to build the scaler."
    ),
    "cron-negative-replicas": (
        "A negative number of replicas makes no sense; KEDA reports it as a negative metric."
    ),
    "cron-unknown-timezone": (
        "KEDA finds out on every poll that the time zone does not exist; we refuse the trigger."
    ),
    "kafka-padded-topic": (
        "No topic's name has blanks around it; KEDA keeps them and looks for a topic that "
        "cannot exist."
    ),
    "prometheus-scalar": (
        "A scalar result is one value as much as a vector of one; KEDA cannot decode it."
    ),
    "prometheus-namespace-escaped": (
        "KEDA puts the namespace into the address unescaped and gets 400."
    ),
    "metrics-api-xml": ("KEDA 2.19 cannot read any XML document; we can."),
    "metrics-api-label-operator": ("KEDA reads != in a series as =; we as what it says."),
    "metrics-api-histogram-series": (
        "The series of histograms and summaries can be named; KEDA does not find them."
    ),
}
"""Reason by rule key, in the order of docs/reference/differences.md."""
