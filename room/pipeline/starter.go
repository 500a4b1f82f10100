package pipeline

import (
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/event"
)

// Starter begins what an action asks for elsewhere in the house: builds. Both
// methods are called in the transaction that writes the action down.
type Starter interface {
	// Start begins it and says what it is called there. Asked again with the same a.ID it
	// gives the same. An error fails the action, with its words.
	Start(tx *db.Tx, a ActionRequest) (external string, err error)
	// Stop asks it to end; that it has ended already is fine.
	Stop(tx *db.Tx, external, reason string) error
	// Ended reads an event that tells how something ended that Start began; ok is false for all others.
	Ended(e event.Event) (r Result, ok bool, err error)
	// Events are the types of the events that Ended wants to see.
	Events() []string
}

// ActionRequest is what an action asks for: all that whoever does it needs to know.
type ActionRequest struct {
	ID            string                  // of this attempt; unique, and the same when it is asked again
	Pipeline      string                  // name
	Execution     string                  // id of the run
	Number        int64                   // of the run, within the pipeline
	Stage, Action string                  // names
	Type          structure.TypeID        // Build/AWS/CodeBuild/1, Test/AWS/CodeBuild/1, Compute/AWS/Commands/1, Rule/AWS/…
	Configuration map[string]string       // with its variables put in
	Commands      []string                // of Commands; else none
	Environment   []structure.Environment // values with their variables put in; SECRETS_MANAGER ones are names still
	Repository    string                  // of the run's first source
	Branch        string                  // or refs/tags/NAME
	Commit        string
	Protected     bool               // the branch is: only then there are secrets
	Pull          string             // number of the pull request that it is of, or ""
	Who           string             // ARN of the one who began the run
	Inputs        []Artifact         // the first is the primary one; one without a Digest is the files of its Commit
	Outputs       []structure.Output // artifacts that are asked for
	Exports       []string           // variables that are asked for, of Commands; a build exports what its buildspec says
	Walls         string             // the lowest level of isolation that the pipeline allows, or "" for the server's
	Role          string             // ARN that the action names, or ""
	Minutes       int                // it may take, or 0
	Stream        string             // that it logs to: the run shows it as part of its own log
	LogGroup      string             // by which aws logs finds the log of commands, with LogName; a build of a project is found under its project
	LogName       string
}

// The configuration of the action that every repository has names its repository as
// ProjectName; where there is no project of that name, whoever builds makes do with its buildspec.

// Result is how what a Starter began has ended.
type Result struct {
	External  string            // as Start said it
	Action    string            // the ActionRequest's ID
	Status    Status            // Succeeded, Failed or Stopped
	Summary   string            // one line
	Reasons   []Reason          // why it failed
	Variables map[string]string // that it gave
	Artifacts []Artifact        // that it made; Name, Digest, Size and Made are enough
	Level     string            // of the walls that it had
	Phases    []Timing
}

// Artifact is what an action has made: the files of a commit, or a file of digest and descent.
type Artifact struct {
	Name       string `json:"name"`
	Stage      string `json:"stage"`
	Action     string `json:"action"`
	Repository string `json:"repository,omitzero"` // that it was made from
	Branch     string `json:"branch,omitzero"`
	Commit     string `json:"commit,omitzero"`
	Digest     string `json:"digest,omitzero"` // sha256:…; "" for the files of the commit
	Size       int64  `json:"size,omitzero"`
	Made       string `json:"made,omitzero"`   // the build that made it, by its id
	Bucket     string `json:"bucket,omitzero"` // where it lies under a name, if it does
	Key        string `json:"key,omitzero"`
	Clone      bool   `json:"clone,omitzero"` // a build gets the commit's history, too
}
