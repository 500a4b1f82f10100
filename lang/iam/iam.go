// Package iam parses IAM policies and decides what they allow and deny.
//
// It begins with policies of identities: a [Policy] is parsed once, with every
// mistake named at its place, and [Decide] asks any number of them about a
// [Request]. What it does not evaluate (principals of resource policies) it
// refuses when parsing, so that nothing is ever allowed or denied by a clause
// that was passed over.
package iam
