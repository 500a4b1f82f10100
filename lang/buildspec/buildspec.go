// Package buildspec reads buildspec.yml, in which a repository says how it is built.
//
// It is the whole of AWS CodeBuild's version 0.2, and 0.1.
// https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
package buildspec

import "regexp"

// File is where a repository says how it is built when nothing else is said.
const File = "buildspec.yml"

// Spec is how something is built.
type Spec struct {
	Version    string            // 0.2, or 0.1, which runs each command in a shell of its own
	RunAs      User              // who runs the commands of phases that name nobody
	Shell      string            // sh or bash
	Variables  map[string]string // as they stand: nothing in them is expanded
	Parameters map[string]string // variables, and the parameters that they are read from
	Secrets    map[string]Secret // variables, and the secrets that they are read from
	Exported   []string          // variables that later actions may read
	GitHelper  bool              // git-credential-helper
	Proxy      Proxy
	Phases     []Phase // those that are there, in the order in which they run
	Reports    []ReportGroup
	Artifacts  []Artifact // the main one first, then the secondary ones by their names
	Cache      Cache
	Batch      *Batch   // nil where it is one build
	Warnings   []string // what is passed over, for the log
}

// Secret is where the value of a variable lies: secret-id:json-key:version-stage:version-id.
type Secret struct {
	ID      string // name or ARN
	Key     string // of the JSON in it; "" for all of its text
	Stage   string // AWSCURRENT where neither stage nor version is said
	Version string
}

// Proxy says what is to go through an explicit proxy server.
type Proxy struct{ Artifacts, Logs bool }

// User is somebody of the build's file system; one without a name is root.
type User struct {
	Name string
	At   string // where that is said: buildspec.yml:3
}

// Phase is one of install, pre_build, build and post_build.
type Phase struct {
	Name      string
	RunAs     User
	OnFailure OnFailure
	Commands  []string
	Finally   []string // run whatever became of Commands
}

// What a phase's on-failure may ask for.
const (
	Abort    = "ABORT"
	Continue = "CONTINUE"
	Retry    = "RETRY"
)

// OnFailure is what happens when a phase fails. The zero value is what AWS does
// then: nothing more runs, but post_build after build.
type OnFailure struct {
	Do      string         // Abort, Continue, Retry or ""
	Times   int            // how often a phase is tried again at most
	Message *regexp.Regexp // what it has to say for that; nil for anything
}

// ReportGroup is where a build leaves reports.
type ReportGroup struct {
	Name         string // or ARN
	Files        []string
	Folder       string // base-directory
	Format       string // in AWS's words, in tool/report's, or "security"; "" is told by what a report holds
	DiscardPaths bool
}

// Security tells whether the group's reports are of security tools, which go to the hub.
func (g ReportGroup) Security() bool { return g.Format != "" && !ownFormat(g.Format) }

// Artifact is what is kept of a build.
type Artifact struct {
	ID           string // "" for the main one
	Name         string // goes through the shell
	Files        []string
	Folder       string // base-directory; may be a pattern
	Exclude      []string
	DiscardPaths bool
	Symlinks     bool
	Prefix       string // s3-prefix
}

// Cache is what is kept from one build for the next.
type Cache struct {
	Paths     []string
	Key       string   // goes through the shell; "" for one cache a project
	Fallbacks []string // beginnings of keys, to be tried in turn
	NoRestore bool
	NoSave    bool
}

// Batch is many builds of one source.
type Batch struct {
	Kind     string // build-graph, build-list, build-matrix or build-fanout
	FastFail bool   // the first that fails ends the others
	Builds   []Build
}

// Build is one of a batch.
type Build struct {
	Identifier    string
	Buildspec     string // path of its file; "" for the file that the batch stands in
	Env           Environment
	DependOn      []string // identifiers of builds that come first
	IgnoreFailure bool
	Debug         bool
	Shard, Shards int // of a build-fanout: the how manieth of how many, from 0
}

// Environment is what a build of a batch has otherwise than its project.
type Environment struct {
	Compute    string // compute-type
	Fleet      string
	Image      string
	Type       string
	Privileged bool
	Variables  map[string]string
}

// Limits of a file.
const (
	MostBuilds   = 100 // of a batch
	mostGroups   = 5
	mostFallback = 5
	mostRetries  = 100
	mostScript   = 1 << 20 // bytes of all commands
	defaultTries = 3
)
