package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// Status is what a check says of a commit, on its way to a forge.
type Status struct {
	Repository  string         `json:"repositoryName"`
	Commit      string         `json:"commitId"`
	Context     string         `json:"context"`
	State       source.Outcome `json:"state"`
	Description string         `json:"description"`
	URL         string         `json:"url"` // a path of the console, or an address
	Problem     string         `json:"problem,omitzero"`

	Sent State     `json:"-"`
	At   time.Time `json:"-"`
	seq  int64
	try  int64
}

func scanStatus(scan db.Scan) (s Status, err error) {
	var body []byte
	var at int64
	var state string
	if err := scan(&s.seq, &s.try, &at, &state, &body); err != nil {
		return s, err
	}
	seq, try := s.seq, s.try
	err = json.Unmarshal(body, &s)
	s.seq, s.try, s.Sent, s.At = seq, try, State(state), time.UnixMicro(at).UTC()
	return s, err
}

const statusColumns = "seq, tries, at, state, body"

// Statuses are the latest that a repository's forge is told, the newest first.
func (m *Mirror) Statuses(ctx context.Context, repository string, limit int) (all []Status, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanStatus, "SELECT "+statusColumns+" FROM mirror_statuses WHERE repository = ? ORDER BY at DESC, context LIMIT ?", repository, limit)
		return err
	})
	return all, err
}

// hear keeps what a check says of a commit, to be told its forge: the newest counts.
func (m *Mirror) hear(tx *db.Tx, e event.Event) error {
	if e.Source != source.EventSource {
		return nil
	}
	var s Status
	if err := json.Unmarshal(e.Detail, &s); err != nil {
		return fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	k, err := find(tx, s.Repository)
	if fault.Of(err) == fault.NotFound || err == nil && k.token == "" {
		return nil // nobody wants to know
	}
	if err != nil {
		return err
	}
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO mirror_statuses (repository, commit_id, context, seq, tries, at, state, body) VALUES (?, ?, ?, 1, 0, ?, ?, ?) ON CONFLICT (repository, commit_id, context) DO UPDATE SET seq = mirror_statuses.seq + 1, tries = 0, at = excluded.at, state = excluded.state, body = excluded.body",
		s.Repository, s.Commit, s.Context, m.config.Now().UnixMicro(), string(Waiting), body); err != nil {
		return err
	}
	return m.enqueue(tx, s.Repository, s.Commit, s.Context)
}

// statusKey says which status a job is about.
type statusKey struct{ Repository, Commit, Context string }

func (m *Mirror) enqueue(tx *db.Tx, repository, commit, context string) error {
	body, err := json.Marshal(statusKey{repository, commit, context})
	if err != nil {
		return err
	}
	id := "status/" + repository + "/" + commit + "/" + context
	if err := m.config.Work.Add(tx, work.Job{ID: id, Kind: statusKind, Body: body}); err != nil {
		return err
	}
	return m.config.Work.Hurry(tx, id)
}

// unpark has what could not be sent sent again. What is on its way is another
// one by then: that the forge refused it says nothing any more.
func (m *Mirror) unpark(tx *db.Tx, repository string) error {
	keys, err := db.All(tx, func(scan db.Scan) (k statusKey, err error) {
		return k, scan(&k.Repository, &k.Commit, &k.Context)
	}, "SELECT repository, commit_id, context FROM mirror_statuses WHERE repository = ? AND state <> ?", repository, string(Done))
	if err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE mirror_statuses SET state = ?, tries = 0, seq = seq + 1 WHERE repository = ? AND state <> ?", string(Waiting), repository, string(Done)); err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE mirror_deliveries SET state = ? WHERE repository = ? AND state = ?", string(Waiting), repository, string(Parked)); err != nil {
		return err
	}
	for _, k := range keys {
		if err := m.enqueue(tx, k.Repository, k.Commit, k.Context); err != nil {
			return err
		}
	}
	return nil
}

// send tells a forge what a check says of a commit, and again if it says something else meanwhile.
func (m *Mirror) send(ctx context.Context, l work.Lease) error {
	var key statusKey
	if err := json.Unmarshal(l.Body, &key); err != nil {
		return fault.Invalid.Wrap(err)
	}
	for {
		var s Status
		var k kept
		err := m.db.Read(ctx, func(tx *db.Tx) (err error) {
			if k, err = find(tx, key.Repository); err != nil {
				return err
			}
			s, err = db.One(tx, scanStatus, "SELECT "+statusColumns+" FROM mirror_statuses WHERE repository = ? AND commit_id = ? AND context = ?", key.Repository, key.Commit, key.Context)
			return err
		})
		if fault.Of(err) == fault.NotFound || err == nil && s.Sent != Waiting {
			return m.db.Write(ctx, func(tx *db.Tx) error { return m.config.Work.Done(tx, l) })
		}
		if err != nil {
			return err
		}
		failed := m.post(ctx, k, s)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		newest, over, err := m.sent(ctx, l, s, failed)
		if err != nil || over {
			return err
		}
		var later *laterError
		if failed != nil && newest {
			pause := wait(s.try)
			if errors.As(failed, &later) {
				pause = max(pause, later.after)
			}
			return m.config.Work.Release(ctx, l, m.config.Now().Add(pause), true)
		}
	}
}

// sent writes down what became of a status, if it is the newest of its kind
// still; over says that nothing is left to do.
func (m *Mirror) sent(ctx context.Context, l work.Lease, s Status, failed error) (newest, over bool, err error) {
	state, problem := Done, ""
	if failed != nil {
		problem = clip(failed.Error(), 500)
		if state = Waiting; fault.Permanent(failed) || s.try+1 >= mostTries {
			state = Parked
			m.config.Log.Warn("a forge did not take a commit status", "repository", s.Repository, "commit", s.Commit, "error", failed)
		}
	}
	s.Problem = problem
	body, err := json.Marshal(s)
	if err != nil {
		return false, false, err
	}
	err = m.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("UPDATE mirror_statuses SET state = ?, tries = tries + 1, at = ?, body = ? WHERE repository = ? AND commit_id = ? AND context = ? AND seq = ?",
			string(state), m.config.Now().UnixMicro(), body, s.Repository, s.Commit, s.Context, s.seq)
		newest = n > 0
		if over = newest && state != Waiting; err != nil || !over {
			return err
		}
		return m.config.Work.Done(tx, l)
	})
	return newest, over, err
}

// laterError is a forge's wish to be left alone for a while.
type laterError struct {
	error
	after time.Duration
}

// Unwrap is for errors.Is.
func (e *laterError) Unwrap() error { return e.error }

// post sends one status in the forge's own form.
func (m *Mirror) post(ctx context.Context, k kept, s Status) error {
	token, err := m.token(k)
	if err != nil {
		return err
	}
	if token == "" {
		return fault.Invalid.Errorf("there is no token to send it with")
	}
	link := s.URL
	if strings.HasPrefix(link, "/") {
		link = m.config.Link(link)
	}
	r, err := statusRequest(ctx, k.Connection, s, link, token)
	if err != nil {
		return err
	}
	client := *m.config.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token goes nowhere else
	response, err := client.Do(r)
	if err != nil {
		var said *url.Error
		if errors.As(err, &said) {
			err = said.Err
		}
		if fault.Of(err) == fault.Denied {
			return err
		}
		return fault.Unavailable.Errorf("calling %s: %w", r.URL.Host, err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // what it says besides is for people
	return answered(response, text, m.config.Now())
}

// statusRequest is a status as GitHub, GitLab or Gitea take it.
func statusRequest(ctx context.Context, c Connection, s Status, link string, token seal.Secret) (*http.Request, error) {
	body := map[string]string{"state": string(s.State), "context": "haechi/" + s.Context, "description": clip(s.Description, 130)}
	if link != "" {
		body["target_url"] = link
	}
	at := c.API + "/repos/" + c.Project + "/statuses/" + s.Commit
	if c.Kind == GitLab {
		at = c.API + "/projects/" + url.PathEscape(c.Project) + "/statuses/" + s.Commit
		body["name"] = body["context"]
		delete(body, "context")
		if s.State == source.Failure {
			body["state"] = "failed"
		}
		if s.State == source.Pending {
			body["state"] = "running"
		}
	}
	text, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(text))
	if err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "haechi")
	switch c.Kind {
	case GitHub:
		r.Header.Set("Accept", "application/vnd.github+json")
		r.Header.Set("X-GitHub-Api-Version", "2022-11-28")
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
	case GitLab:
		r.Header.Set("PRIVATE-TOKEN", token.Reveal())
	default:
		r.Header.Set("Authorization", "token "+token.Reveal())
	}
	return r, nil
}

// answered is what a forge's answer means.
func answered(response *http.Response, text []byte, now time.Time) error {
	host := response.Request.URL.Host
	var said struct {
		Message any `json:"message"`
	}
	_ = json.Unmarshal(text, &said) // not all say something
	why := ""
	if said.Message != nil {
		why = ": " + clip(fmt.Sprint(said.Message), 200)
	}
	switch status := response.StatusCode; {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusTooManyRequests || status == http.StatusForbidden && response.Header.Get("X-Ratelimit-Remaining") == "0" || response.Header.Get("Retry-After") != "":
		return &laterError{fault.Limit.Errorf("%s wants to be left alone for a while (%s)%s", host, response.Status, why), pause(response.Header, now)}
	case status >= 500:
		return fault.Unavailable.Errorf("%s cannot answer (%s)%s", host, response.Status, why)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.Denied.Errorf("%s does not let the token set commit statuses (%s)%s", host, response.Status, why)
	case status == http.StatusNotFound:
		return fault.NotFound.Errorf("%s does not know the project or the commit, or the token may not see it (%s)%s", host, response.Status, why)
	case status == http.StatusBadRequest && strings.Contains(strings.ToLower(why), "transition"):
		return nil // GitLab's way of saying that the status is that already
	}
	return fault.Invalid.Errorf("%s refuses (%s)%s", host, response.Status, why)
}

// pause is how long a forge wants to be left alone.
func pause(h http.Header, now time.Time) time.Duration {
	if n, err := strconv.Atoi(h.Get("Retry-After")); err == nil && n > 0 {
		return min(time.Duration(n)*time.Second, time.Hour)
	}
	if reset, err := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
		return max(0, min(time.Unix(reset, 0).Sub(now), time.Hour))
	}
	return time.Minute
}
