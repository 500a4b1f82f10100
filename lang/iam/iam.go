// Package iam parses IAM policies and decides, explains and checks what they allow and deny.
//
// A [Policy] is parsed and compiled once, with every mistake named at its
// place; [Policies] are all that apply to a request: those of the identity, of
// the resource, a boundary, a session's, an organisation's and a VPC
// endpoint's. [Policies.Decide] answers a [Request] fast, [Policies.Explain]
// says why. [Check] reads a policy as a reviewer would.
//
// Where AWS's documentation and what was recorded of its simulators disagree,
// the stricter answer is given; docs/iam.md lists where.
package iam
