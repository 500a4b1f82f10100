package build

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// A sandbox is a project's build environment in which nothing runs but single
// commands that somebody asks for: its sources, its variables, its walls and its
// image, without secrets and with no way out. What a command changes in the
// folder stays for the next one. All that is asked is written down; the server
// that has the sandbox takes it from there.

// The states of sandboxes, in CodeBuild's words.
const (
	SandboxQueued   = "QUEUED"
	SandboxProvides = "PROVISIONING"
	SandboxRuns     = "RUN_SANDBOX"
	SandboxStopping = "STOPPING"
	SandboxStopped  = "STOPPED"
	SandboxFailed   = "FAILED"
)

// Sandbox is an environment for commands. Its JSON is CodeBuild's, and Facts, which are ours.
type Sandbox struct {
	ID                string          `json:"id"` // PROJECT:UUID
	ARN               string          `json:"arn"`
	Project           string          `json:"projectName"`
	Requested         time.Time       `json:"requestTime"`
	Started           time.Time       `json:"startTime,omitzero"`
	Ended             time.Time       `json:"endTime,omitzero"`
	Status            string          `json:"status"`
	Source            Source          `json:"source"`
	SourceVersion     string          `json:"sourceVersion,omitzero"`
	SecondarySources  []Source        `json:"secondarySources,omitzero"`
	SecondaryVersions []SourceVersion `json:"secondarySourceVersions,omitzero"`
	Environment       Environment     `json:"environment"`
	Timeout           int             `json:"timeoutInMinutes"`
	QueuedTimeout     int             `json:"queuedTimeoutInMinutes"`
	ServiceRole       string          `json:"serviceRole,omitzero"`
	Session           *SandboxSession `json:"currentSession,omitzero"`

	Facts *SandboxFacts `json:"haechi,omitzero"`
}

// SandboxSession is a sandbox's one time at work.
type SandboxSession struct {
	ID       string    `json:"id"`
	Status   string    `json:"status"`
	Started  time.Time `json:"startTime,omitzero"`
	Ended    time.Time `json:"endTime,omitzero"`
	Phase    string    `json:"currentPhase"`
	Phases   []Phase   `json:"phases"`
	Resolved string    `json:"resolvedSourceVersion,omitzero"`
}

// SandboxFacts are what is known of a sandbox besides.
type SandboxFacts struct {
	Who   string `json:"who"`
	Node  string `json:"node,omitzero"` // that has it
	Build Build  `json:"build"`         // as it would be built
}

// Ended tells whether nothing will change any more.
func (s *Sandbox) ended() bool { return s.Status == SandboxStopped || s.Status == SandboxFailed }

// enter ends the phase that a sandbox is in, and begins the next.
func (s *Sandbox) enter(status, phase string, how Status, now time.Time) {
	b := Build{Phases: s.Session.Phases}
	b.leave(how, now)
	b.Phases = append(b.Phases, Phase{Type: phase, Started: now, Status: InProgress})
	s.Session.Phases, s.Session.Phase = b.Phases, phase
	s.Status, s.Session.Status = status, status
	switch {
	case s.ended():
		last := &s.Session.Phases[len(s.Session.Phases)-1]
		last.Status = ""
		s.Ended, s.Session.Ended = now, now
	case status == SandboxProvides:
		s.Started, s.Session.Started = now, now
	}
}

// Command is one that runs, or ran, in a sandbox. Its JSON is CodeBuild's.
type Command struct {
	ID         string    `json:"id"`
	Sandbox    string    `json:"sandboxId"`
	SandboxARN string    `json:"sandboxArn"`
	Submitted  time.Time `json:"submitTime"`
	Started    time.Time `json:"startTime,omitzero"`
	Ended      time.Time `json:"endTime,omitzero"`
	Status     string    `json:"status"`
	Command    string    `json:"command"`
	Type       string    `json:"type"`
	Exit       string    `json:"exitCode,omitzero"`
	Out        string    `json:"standardOutputContent,omitzero"`
	Err        string    `json:"standardErrContent,omitzero"`
}

// commandWaits is a command that nobody runs yet; those that do are in progress, as builds are.
const commandWaits = "SUBMITTED"

// Bounds of sandboxes.
const (
	mostSandboxes = 4       // at work on one server
	mostWaiting   = 50      // that wait, in the installation
	mostCommands  = 1000    // of one sandbox
	mostAtOnce    = 4       // of these
	longestSaid   = 4 << 10 // a command
)

func scanSandbox(scan db.Scan) (s Sandbox, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}

func scanCommand(scan db.Scan) (c Command, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return c, err
	}
	return c, json.Unmarshal(body, &c)
}

func findSandbox(tx *db.Tx, id string) (Sandbox, error) {
	s, err := db.One(tx, scanSandbox, "SELECT body FROM build_sandboxes WHERE id = ?", bare(id, "sandbox/"))
	if errors.Is(err, fault.NotFound) {
		return s, fault.NotFound.Errorf("there is no sandbox %.200q", id)
	}
	return s, err
}

func keepSandbox(tx *db.Tx, s Sandbox) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO build_sandboxes (id, project, status, node, created, body) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, node = excluded.node, body = excluded.body`,
		s.ID, s.Project, s.Status, s.Facts.Node, s.Requested.UnixMicro(), body)
	return err
}

func keepCommand(tx *db.Tx, c Command) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO build_commands (id, sandbox, status, created, body) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, body = excluded.body`, c.ID, c.Sandbox, c.Status, c.Submitted.UnixMicro(), body)
	return err
}

// StartSandbox asks for a sandbox of a project. The same token within five minutes is the same one.
func (b *Builds) StartSandbox(ctx context.Context, project, who, token string) (s Sandbox, err error) {
	if b.config.Steps == nil || b.config.Workers < 0 {
		return s, fault.Unsupported.Errorf("this server builds nothing itself, and runners have no sandboxes")
	}
	made, err := b.plan(ctx, Start{Project: project, Who: who})
	if err != nil {
		return s, err
	}
	now := b.config.Now().UTC()
	s = Sandbox{
		ID: made.Project + ":" + newID(), Project: made.Project, Requested: now, Source: made.Source, SourceVersion: made.SourceVersion, SecondarySources: made.SecondarySources,
		SecondaryVersions: made.SecondaryVersions, Environment: made.Environment, Timeout: made.Timeout, QueuedTimeout: made.QueuedTimeout, ServiceRole: made.ServiceRole,
		Session: &SandboxSession{ID: newID(), Resolved: made.ResolvedVersion}, Facts: &SandboxFacts{Who: who, Build: made},
	}
	s.ARN = b.ARN("sandbox/" + s.ID)
	s.enter(SandboxQueued, Submitted, Succeeded, now)
	s.enter(SandboxQueued, Queued, Succeeded, now)
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		if same, ok, err := b.askedBatch(tx, token); err != nil {
			return err
		} else if ok {
			s, err = findSandbox(tx, same)
			return err
		}
		waiting, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM build_sandboxes WHERE status = ?", SandboxQueued)
		if err != nil {
			return err
		}
		if waiting >= mostWaiting {
			return fault.Conflict.Errorf("%d sandboxes wait for their turn already: stop some", waiting)
		}
		if err := keepSandbox(tx, s); err != nil {
			return err
		}
		tx.AfterCommit(b.benches.wake)
		return b.remember(tx, token, s.ID)
	})
	return s, err
}

// Sandbox is a sandbox by its id or ARN.
func (b *Builds) Sandbox(ctx context.Context, id string) (s Sandbox, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error { s, err = findSandbox(tx, id); return err })
	return s, err
}

// Sandboxes are sandboxes, the newest first.
func (b *Builds) Sandboxes(ctx context.Context, q Query) (all []Sandbox, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		query, args, err := q.say(tx, "build_sandboxes")
		if err == nil {
			all, err = db.All(tx, scanSandbox, query, args...)
		}
		return err
	})
	return all, err
}

// StopSandbox has a sandbox end, with all that runs in it.
func (b *Builds) StopSandbox(ctx context.Context, id string) (s Sandbox, err error) {
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		if s, err = findSandbox(tx, id); err != nil || s.ended() || s.Status == SandboxStopping {
			return err
		}
		tx.AfterCommit(b.benches.wake)
		if s.Status == SandboxQueued { // nobody has it
			return b.endSandbox(tx, &s, SandboxStopped, Stopped, nil)
		}
		s.Status, s.Session.Status = SandboxStopping, SandboxStopping
		return keepSandbox(tx, s)
	})
	return s, err
}

// endSandbox writes down that a sandbox is no more, nor what ran in it.
func (b *Builds) endSandbox(tx *db.Tx, s *Sandbox, status string, how Status, why error) error {
	now := b.config.Now().UTC()
	if n := len(s.Session.Phases); why != nil && n > 0 {
		s.Session.Phases[n-1].Contexts = []Context{{"CLIENT_ERROR", clip(why.Error(), 2000)}}
	}
	s.enter(status, Completed, how, now)
	left, err := db.All(tx, scanCommand, "SELECT body FROM build_commands WHERE sandbox = ? AND status IN (?, ?)", s.ID, commandWaits, string(InProgress))
	if err != nil {
		return err
	}
	for _, c := range left {
		c.Status, c.Ended = string(Stopped), now
		if err := keepCommand(tx, c); err != nil {
			return err
		}
	}
	return keepSandbox(tx, *s)
}

// StartCommand asks for a command in a sandbox.
func (b *Builds) StartCommand(ctx context.Context, id, command string) (c Command, err error) {
	if len(command) > longestSaid {
		return c, fault.Invalid.Errorf("a command has %d bytes at most", longestSaid)
	}
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		s, err := findSandbox(tx, id)
		if err != nil {
			return err
		}
		if s.ended() || s.Status == SandboxStopping {
			return fault.Invalid.Errorf("the sandbox %s is %s: start another one", s.ID, s.Status)
		}
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM build_commands WHERE sandbox = ?", s.ID)
		if err != nil {
			return err
		}
		if n >= mostCommands {
			return fault.Invalid.Errorf("the sandbox %s has had %d commands, which is how many one may have: start another one", s.ID, n)
		}
		c = Command{ID: newID(), Sandbox: s.ID, SandboxARN: s.ARN, Submitted: b.config.Now().UTC(), Status: commandWaits, Command: command, Type: "SHELL"}
		tx.AfterCommit(b.benches.wake)
		return keepCommand(tx, c)
	})
	return c, err
}

// Commands are those of a sandbox, the newest first unless they are to ascend.
// With ids they are these, as far as they are there.
func (b *Builds) Commands(ctx context.Context, id string, ascending bool, ids ...string) (all []Command, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		s, err := findSandbox(tx, id)
		if err != nil {
			return err
		}
		all, err = db.All(tx, scanCommand, "SELECT body FROM build_commands WHERE sandbox = ? ORDER BY created, id", s.ID)
		return err
	})
	if len(ids) > 0 {
		all = slices.DeleteFunc(all, func(c Command) bool { return !slices.Contains(ids, c.ID) })
	}
	if !ascending {
		slices.Reverse(all)
	}
	return all, err
}
