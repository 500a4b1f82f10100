package forge

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/room/mirror"
	"github.com/haechi-dev/haechi/word/fault"
)

// Parse reads a delivery of a kind of forge. What is none of pushes and pull requests asks for nothing.
func Parse(kind mirror.Kind, h http.Header, text jsontext.Value) (d mirror.Delivery, err error) {
	switch kind {
	case mirror.GitHub:
		d.Event, d.ID = h.Get("X-GitHub-Event"), h.Get("X-GitHub-Delivery")
		err = github(&d, text)
	case mirror.Gitea: // which sends GitHub's headers as well
		d.Event, d.ID = cmp.Or(h.Get("X-Gitea-Event"), h.Get("X-Forgejo-Event"), h.Get("X-Gogs-Event")), cmp.Or(h.Get("X-Gitea-Delivery"), h.Get("X-Forgejo-Delivery"), h.Get("X-Gogs-Delivery"))
		err = github(&d, text)
	case mirror.GitLab:
		// Several hooks that one hook sets off have one UUID, so that it alone tells none apart.
		sum := sha256.Sum256(text)
		d.Event, d.ID = h.Get("X-Gitlab-Event"), h.Get("Idempotency-Key")
		if uuid := h.Get("X-Gitlab-Event-UUID"); d.ID == "" && uuid != "" {
			d.ID = uuid + " " + hex.EncodeToString(sum[:8])
		}
		err = gitlab(&d, text)
	default:
		err = fault.Unsupported.Errorf("%q is no forge that is known here", kind)
	}
	d.Event, d.ID = strings.ToValidUTF8(d.Event, "\uFFFD"), strings.ToValidUTF8(d.ID, "\uFFFD")
	if err == nil && (d.Event == "" || len(d.Event) > 100) {
		err = fault.Invalid.Errorf("no header says which event it is")
	}
	if d.ID == "" { // it may come twice then, and is the same
		sum := sha256.Sum256(text)
		d.ID = hex.EncodeToString(sum[:])
	}
	if err != nil || d.Ref == "" && d.Pull == nil {
		return d, err
	}
	if d.Ref != "" && !git.ValidRef(d.Ref) {
		return d, fault.Invalid.Errorf("%.200q cannot be a ref", d.Ref)
	}
	return d, nil
}

func read(text jsontext.Value, out any) error {
	if err := json.Unmarshal(text, out, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)); err != nil {
		return fault.Invalid.Errorf("the payload is not what it should be: %w", err)
	}
	return nil
}

// githubRepository is a repository in the words of GitHub, and of Gitea.
type githubRepository struct {
	ID       int64  `json:"id"`
	FullName string `json:"full_name"`
	Default  string `json:"default_branch"`
}

type githubUser struct {
	Login    string `json:"login"`
	UserName string `json:"username"` // Gitea's
	Name     string `json:"name"`     // of a pusher
}

func (u githubUser) who() string { return cmp.Or(u.Login, u.UserName, u.Name) }

// github reads a payload of GitHub; Gitea's are alike as far as they are read here.
func github(d *mirror.Delivery, text jsontext.Value) error {
	switch d.Event {
	case "push":
		return githubPush(d, text)
	case "create", "delete": // of branches and tags: Gitea tells a new tag by this alone
		return githubCreate(d, text)
	case "pull_request", "pull_request_sync":
		return githubPull(d, text)
	}
	return nil
}

func githubPush(d *mirror.Delivery, text jsontext.Value) error {
	var in struct {
		Ref        string           `json:"ref"`
		After      string           `json:"after"`
		Deleted    bool             `json:"deleted"`
		Repository githubRepository `json:"repository"`
		Pusher     githubUser       `json:"pusher"`
		Sender     githubUser       `json:"sender"`
	}
	if err := read(text, &in); err != nil {
		return err
	}
	if in.Ref == "" || in.After == "" {
		return fault.Invalid.Errorf("the payload of a push says neither ref nor after")
	}
	d.Ref, d.Commit = in.Ref, in.After
	if in.Deleted {
		d.Commit = git.Zero
	}
	d.Default, d.Project, d.Who = in.Repository.Default, in.Repository.FullName, cmp.Or(in.Sender.who(), in.Pusher.who())
	return nil
}

func githubCreate(d *mirror.Delivery, text jsontext.Value) error {
	var in struct {
		Ref        string           `json:"ref"`
		Type       string           `json:"ref_type"`
		Commit     string           `json:"sha"` // Gitea's
		Repository githubRepository `json:"repository"`
		Sender     githubUser       `json:"sender"`
	}
	if err := read(text, &in); err != nil {
		return err
	}
	kinds := map[string]string{"branch": "refs/heads/", "tag": "refs/tags/"}
	if kinds[in.Type] == "" || in.Ref == "" {
		return nil // a repository
	}
	d.Ref, d.Commit = kinds[in.Type]+in.Ref, cmp.Or(in.Commit, git.Zero)
	d.Default, d.Project, d.Who = in.Repository.Default, in.Repository.FullName, in.Sender.who()
	return nil
}

type githubSide struct {
	Ref  string           `json:"ref"`
	SHA  string           `json:"sha"`
	Repo githubRepository `json:"repo"`
}

func githubPull(d *mirror.Delivery, text jsontext.Value) error {
	var in struct {
		Action string `json:"action"`
		Number int64  `json:"number"`
		Pull   struct {
			Number  int64      `json:"number"`
			State   string     `json:"state"`
			Title   string     `json:"title"`
			Merged  bool       `json:"merged"`
			As      string     `json:"merge_commit_sha"`
			URL     string     `json:"html_url"`
			Updated time.Time  `json:"updated_at"`
			User    githubUser `json:"user"`
			Head    githubSide `json:"head"`
			Base    githubSide `json:"base"`
		} `json:"pull_request"`
		Repository githubRepository `json:"repository"`
		Sender     githubUser       `json:"sender"`
	}
	if err := read(text, &in); err != nil {
		return err
	}
	switch in.Action {
	case "opened", "reopened", "synchronize", "synchronized", "edited", "closed", "ready_for_review", "converted_to_draft":
	default: // labels, assignments, reviews: nothing that is built changes
		return nil
	}
	p := in.Pull
	d.Default, d.Project, d.Who = in.Repository.Default, in.Repository.FullName, in.Sender.who()
	d.Pull = &mirror.Pull{
		Number: cmp.Or(in.Number, p.Number), Open: p.State == "open", Title: short(p.Title), Head: p.Head.SHA, Source: p.Head.Ref, Target: p.Base.Ref,
		Fork: p.Head.Repo.ID != p.Base.Repo.ID || p.Head.Repo.FullName != p.Base.Repo.FullName, Who: p.User.who(), URL: p.URL, Updated: p.Updated,
	}
	if p.Merged {
		d.Pull.Merged = p.As
	}
	return nil
}

// gitlab reads a payload of GitLab.
func gitlab(d *mirror.Delivery, text jsontext.Value) error {
	switch d.Event {
	case "Push Hook", "Tag Push Hook":
		return gitlabPush(d, text)
	case "Merge Request Hook":
		return gitlabMerge(d, text)
	}
	return nil
}

type gitlabProject struct {
	Path    string `json:"path_with_namespace"`
	Default string `json:"default_branch"`
}

func gitlabPush(d *mirror.Delivery, text jsontext.Value) error {
	var in struct {
		Ref     string        `json:"ref"`
		After   string        `json:"after"`
		User    string        `json:"user_username"`
		Project gitlabProject `json:"project"`
	}
	if err := read(text, &in); err != nil {
		return err
	}
	if in.Ref == "" || in.After == "" {
		return fault.Invalid.Errorf("the payload of a push says neither ref nor after")
	}
	d.Ref, d.Commit, d.Who = in.Ref, in.After, in.User
	d.Default, d.Project = in.Project.Default, in.Project.Path
	return nil
}

func gitlabMerge(d *mirror.Delivery, text jsontext.Value) error {
	var in struct {
		User struct {
			Username string `json:"username"`
		} `json:"user"`
		Project gitlabProject `json:"project"`
		What    struct {
			IID     int64      `json:"iid"`
			Title   string     `json:"title"`
			State   string     `json:"state"`
			Merged  string     `json:"merge_commit_sha"`
			Action  string     `json:"action"`
			Source  string     `json:"source_branch"`
			Target  string     `json:"target_branch"`
			From    int64      `json:"source_project_id"`
			To      int64      `json:"target_project_id"`
			URL     string     `json:"url"`
			Updated gitlabTime `json:"updated_at"`
			Last    struct {
				ID string `json:"id"`
			} `json:"last_commit"`
		} `json:"object_attributes"`
	}
	if err := read(text, &in); err != nil {
		return err
	}
	switch in.What.Action {
	case "open", "reopen", "update", "close", "merge", "":
	default: // approvals
		return nil
	}
	p := in.What
	d.Who, d.Default, d.Project = in.User.Username, in.Project.Default, in.Project.Path
	d.Pull = &mirror.Pull{
		Number: p.IID, Open: p.State == "opened", Title: short(p.Title), Head: p.Last.ID, Source: p.Source, Target: p.Target,
		Fork: p.From != p.To, Who: in.User.Username, URL: p.URL, Updated: time.Time(p.Updated),
	}
	if p.State == "merged" {
		d.Pull.Merged = p.Merged
	}
	return nil
}

// gitlabTime is a time as GitLab writes it, which was not always RFC 3339.
type gitlabTime time.Time

// UnmarshalText reads it.
func (t *gitlabTime) UnmarshalText(text []byte) error {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700"} {
		if at, err := time.Parse(form, string(text)); err == nil {
			*t = gitlabTime(at)
			return nil
		}
	}
	return fault.Invalid.Errorf("%.40q is no time", text)
}

// short is a title, of a length for lists.
func short(title string) string {
	if r := []rune(title); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return title
}
