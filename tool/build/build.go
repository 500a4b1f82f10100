// Package build runs one build, as a buildspec describes it, in a folder of sources.
//
// The folder is the build's own: its sources lie in src, those of secondary
// sources in src_ID, and its home is made in home. One shell in the sandbox is
// told the commands one by one, so that cd, export and functions carry over;
// what each phase means for the next is decided here, outside of it. When all
// that ran has ended, artifacts, reports and caches are taken from the folder,
// as hostile as it may be by then.
package build

import (
	"context"
	"io"
	"time"

	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/tool/testreport"
)

// Parse reads a buildspec; reports may have every format that is read here.
func Parse(name string, text []byte) (*buildspec.Spec, error) {
	return buildspec.Parse(name, text, append(report.Formats(), "sarif")...)
}

// Runner runs the one step that a build is; tool/sandbox is the first. All that
// the step started has ended when Run returns.
type Runner interface {
	Run(ctx context.Context, s sandbox.Step, out io.Writer) (exit int, err error)
	// Level is how well steps are walled in, or why none can be run.
	Level(ctx context.Context) (sandbox.Level, error)
}

// Plan is all that a build needs to know.
type Plan struct {
	Spec *buildspec.Spec
	Dir  string // the build's folder, with its sources in src; who calls removes it (see Remove)
	Out  string // a folder of the caller's outside of Dir, where artifacts are put

	Clones []string // folders below Dir that came with a .git: that is no artifact

	Facts     Facts          // what CodeBuild's variables say
	Env       []Variable     // what every build finds; the buildspec may say otherwise
	Variables []Variable     // of the project, then of who started it: they win over the buildspec's, later ones over earlier
	Secrets   []Variable     // of the buildspec and the project, resolved; they win over all
	Git       *GitCredential // handed out where the buildspec says git-credential-helper: yes
	Tools     []sandbox.Tool // what it may read besides the system's programs
	Root      string         // a folder with an unpacked image that it runs in; "" for the system's programs
	AsRoot    bool           // it is root there, and may change what it likes for itself (sandbox.Step.AsRoot)
	Egress    sandbox.Egress // its way out; nil for none
	Limits    sandbox.Limits
	Keep      Keep
	Cache     Cache // nil keeps nothing

	// Changed is told of each phase when it begins and when it ends; nil tells nobody.
	Changed func(Phase)
}

// Variable is a variable of the environment.
type Variable struct{ Name, Value string }

// GitCredential is who git is, to one server. The password is for who masks the log to know, too.
type GitCredential struct{ URL, User, Password string }

// Keep bounds what is kept of a build; 0 stands for the default.
type Keep struct {
	Files   int   // of an artifact or a cache; 100,000
	Bytes   int64 // of all files of an artifact or a cache, before packing; 4 GiB
	Reports int   // files of reports; 200
	Report  int64 // bytes of one report; 64 MiB
}

func (k Keep) orDefault() Keep {
	if k.Files == 0 {
		k.Files = 100_000
	}
	if k.Bytes == 0 {
		k.Bytes = 4 << 30
	}
	if k.Reports == 0 {
		k.Reports = 200
	}
	if k.Report == 0 {
		k.Report = 64 << 20
	}
	return k
}

// Status is how a build or a phase of it ended, in CodeBuild's words.
type Status string

// What can become of a build.
const (
	Succeeded  Status = "SUCCEEDED"
	Failed     Status = "FAILED"
	Fault      Status = "FAULT" // ours
	TimedOut   Status = "TIMED_OUT"
	InProgress Status = "IN_PROGRESS"
	Stopped    Status = "STOPPED"
)

// Phase is one phase of a build, in CodeBuild's words: INSTALL, UPLOAD_ARTIFACTS …
type Phase struct {
	Name    string    `json:"name"`
	Status  Status    `json:"status"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Message string    `json:"message,omitzero"` // why it failed
}

// Command is one command that was run.
type Command struct {
	Phase   string    `json:"phase"` // as the buildspec has it: pre_build
	Finally bool      `json:"finally,omitzero"`
	Text    string    `json:"text"` // its beginning
	Try     int       `json:"try"`  // from 1; more where the phase was tried again
	Exit    int       `json:"exit"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
}

// Result is what became of a build.
type Result struct {
	Status    Status        `json:"status"`
	Reason    string        `json:"reason,omitzero"` // why it did not succeed, in one line
	Where     string        `json:"where,omitzero"`  // in which phase, as the buildspec has it
	Do        string        `json:"do,omitzero"`     // what to do about it
	Level     sandbox.Level `json:"level"`
	Phases    []Phase       `json:"phases"`
	Commands  []Command     `json:"commands,omitzero"`
	Exported  []Variable    `json:"exported,omitzero"`  // in the order of their names
	Artifacts []Artifact    `json:"artifacts,omitzero"` // in the buildspec's order
	Reports   []Report      `json:"reports,omitzero"`
	Cache     string        `json:"cache,omitzero"` // key of the cache that was restored
}

// Artifact is a file in Plan.Out.
type Artifact struct {
	ID     string `json:"id,omitzero"` // "" for the main one
	Name   string `json:"name"`        // as the buildspec says; "" where it says nothing
	Prefix string `json:"prefix,omitzero"`
	File   string `json:"file"` // path on this machine
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Files  int    `json:"files"` // how many it holds
}

// Report is what one group of reports came to.
type Report struct {
	Group  string             `json:"group"`
	Format string             `json:"format,omitzero"` // as the buildspec has it
	Files  []string           `json:"files"`           // below src; of security tools, the caller reads them
	Tests  *testreport.Report `json:"tests,omitzero"`  // cases and coverage of all files together; nil for security tools
}

// Config is what a Builder needs.
type Config struct {
	Runner Runner
	Now    func() time.Time // nil is time.Now
}

// Builder runs builds; it may run many at once.
type Builder struct {
	runner Runner
	now    func() time.Time
}

// New is a Builder.
func New(c Config) *Builder {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Builder{runner: c.Runner, now: c.Now}
}
