package io.github.jobstream;

/**
 * A field of a request that breaks a rule.
 *
 * @param field its path, such as {@code job.kind}
 * @param description the rule, the value and the way out
 */
public record Violation(String field, String description) {}
