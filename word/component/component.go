// Package component is a piece of software that something is built of.
package component

import "github.com/haechi-dev/haechi/word/diag"

// State says how well a version is known.
type State string

const (
	Resolved   State = "RESOLVED"   // exactly this version is used
	Unresolved State = "UNRESOLVED" // a range or a variable that cannot be known here: shown and gated, never matched
)

// Scope says what a component is used for.
type Scope string

const (
	Runtime     Scope = "runtime"
	Development Scope = "development"
)

// Component is one package in one version, at the place that brings it in.
type Component struct {
	PURL      string     `json:"purl"`      // package URL without version: pkg:npm/%40babel/core
	Ecosystem string     `json:"ecosystem"` // OSV's name: npm, Go, PyPI, Maven …
	Name      string     `json:"name"`      // as OSV writes it: @babel/core, org.apache.logging.log4j:log4j-core
	Version   string     `json:"version"`   // as written; for UNRESOLVED the requirement
	State     State      `json:"state"`
	Scope     Scope      `json:"scope"`
	Direct    bool       `json:"direct"` // asked for by the project itself
	Place     diag.Place `json:"place"`
	Path      []string   `json:"path,omitzero"`     // names from the project down to this, where known
	Licences  []string   `json:"licences,omitzero"` // SPDX identifiers or expressions, as declared
	Integrity string     `json:"integrity,omitzero"`
}
