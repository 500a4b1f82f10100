package route

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

func slackBotKind() Kind {
	return Kind{
		Name: "slackbot", Title: "Slack (bot, with threads)", Digest: true,
		Fields: []Field{
			{Name: "token", Secret: true, Required: true, Help: "the bot's token, with the scope chat:write"},
			{Name: "channel", Required: true, Help: "the id of a channel that the bot is in"},
			{Name: "api", Help: "where the Web API is, if it is not Slack's"},
		},
		Open: func(c Receiver, env *Env) (Target, error) {
			api := strings.TrimSuffix(cmp.Or(c.Settings["api"], "https://slack.com/api"), "/")
			if err := checkURL(api); err != nil {
				return nil, err
			}
			return &slackBot{api: api, token: c.Secrets["token"].Reveal(), channel: c.Settings["channel"], queue: c.ARN,
				repeat: time.Duration(c.Pacing.full().Repeat), env: env, gap: gap{least: time.Second}}, nil
		},
	}
}

// slackBot tells of things in a channel with a bot's token: what changes about
// a topic goes to its thread, and its headline counts.
type slackBot struct {
	api, token, channel, queue string
	repeat                     time.Duration
	env                        *Env
	gap                        gap
}

// few topics of one delivery get a thread each; more become one message.
const few = 3

// Deliver tells a few topics in their threads, and all else in one message.
func (s *slackBot) Deliver(ctx context.Context, d Delivery) error {
	g := gather(d.Items, s.env)
	if len(g.topics) == 0 || len(g.topics) > few || len(g.notes) > 0 {
		_, err := s.post(ctx, slackMessage(&g, s.env.Link(nil)))
		return err
	}
	for _, t := range g.topics {
		if err := s.tell(ctx, d, t); err != nil {
			return err
		}
	}
	return nil
}

// tell posts a topic, or continues its thread. What of a delivery has been
// posted is remembered, so that its repeat does not say it again.
func (s *slackBot) tell(ctx context.Context, d Delivery, t *topic) error {
	thread, err := s.env.threads.read(ctx, s.queue, t.group)
	if err != nil {
		return err
	}
	now := s.env.Now()
	known := thread.TS != "" && now.Sub(thread.Opened) < s.repeat
	switch {
	case known && slices.Contains(thread.Said, d.ID):
		return nil
	case !known && t.opened == 0:
		return s.single(ctx, t) // news of something that was told of long ago, or among many
	}
	if !known {
		thread = slackThread{Opened: now, Headline: headlineOf(t)}
	}
	if thread.Heard != d.ID {
		at, err := s.say(ctx, thread, t)
		if err != nil {
			return err
		}
		if !known {
			thread.TS = at
		}
		thread.Open += t.opened - t.closed
		thread.All += t.opened
		thread.Heard = d.ID
		if err := s.env.threads.write(ctx, s.queue, t.group, thread); err != nil {
			return err
		}
	}
	if known {
		if err := s.update(ctx, thread); err != nil {
			return err
		}
	}
	thread.Said = append(thread.Said[max(0, len(thread.Said)-9):], d.ID)
	return s.env.threads.write(ctx, s.queue, t.group, thread)
}

func (s *slackBot) single(ctx context.Context, t *topic) error {
	g := digest{topics: []*topic{t}, opened: t.opened, closed: t.closed}
	_, err := s.post(ctx, slackMessage(&g, ""))
	return err
}

// say posts a topic as a headline, or into its thread.
func (s *slackBot) say(ctx context.Context, thread slackThread, t *topic) (ts string, err error) {
	b := blocks{room: slackSum}
	b.section(slackTopic(t))
	return s.post(ctx, message{Thread: thread.TS, Text: escaped(headlineOf(t), slackText), Blocks: b.list})
}

func headlineOf(t *topic) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", t.label, clip(t.title, 250), t.count()))
}

// update writes the counts into the thread's headline. One that is gone, or too old to be changed, stays as it is.
func (s *slackBot) update(ctx context.Context, thread slackThread) error {
	state := fmt.Sprintf("%d open of %d", max(thread.Open, 0), thread.All)
	mark := ":red_circle:"
	if thread.Open <= 0 {
		mark, state = ":white_check_mark:", fmt.Sprintf("all %d resolved", thread.All)
	}
	b := blocks{room: slackSum}
	b.section(mark + " *" + escaped(thread.Headline, 350) + "*\n" + state)
	_, err := s.request(ctx, "chat.update", message{TS: thread.TS, Text: escaped(thread.Headline+": "+state, slackText), Blocks: b.list})
	var refusal *Refusal
	if errors.As(err, &refusal) && slices.Contains([]string{"message_not_found", "cant_update_message", "edit_window_closed"}, refusal.Answer) {
		return nil
	}
	return err
}

func (s *slackBot) post(ctx context.Context, m message) (ts string, err error) {
	if err := s.gap.wait(ctx); err != nil {
		return "", err
	}
	return s.request(ctx, "chat.postMessage", m)
}

func (s *slackBot) request(ctx context.Context, method string, m message) (ts string, err error) {
	m.Channel = s.channel
	body, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", s.api+"/"+method, bytes.NewReader(body))
	if err != nil {
		return "", fault.Invalid.Wrap(err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Authorization", "Bearer "+s.token)
	answer, err := call(s.env.HTTP, req)
	if err != nil {
		return "", err
	}
	var a slackAnswer
	if err := json.Unmarshal(answer, &a); err != nil {
		return "", fault.Unavailable.Errorf("%s: the answer is not Slack's", method)
	}
	if !a.OK {
		return "", &Refusal{Kind: slackFault(a.Error), Status: 200, Answer: a.Error, Err: fmt.Errorf("%s was refused", method)}
	}
	return a.TS, nil
}

// slackFault tells Slack's passing troubles from what will never work.
func slackFault(code string) fault.Kind {
	switch code {
	case "ratelimited", "rate_limited", "message_limit_exceeded":
		return fault.Limit
	case "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org", "accesslimited":
		return fault.Unavailable
	case "channel_not_found", "is_archived":
		return fault.NotFound
	case "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "no_permission", "missing_scope", "not_in_channel", "restricted_action":
		return fault.Denied
	}
	return fault.Invalid
}

// slackThread is a topic in a channel, by its first message.
type slackThread struct {
	TS       string    `json:"ts"`
	Opened   time.Time `json:"opened"`
	Headline string    `json:"headline"`
	Open     int       `json:"open"`
	All      int       `json:"all"`
	Heard    string    `json:"heard,omitzero"` // the delivery that was posted last
	Said     []string  `json:"said,omitzero"`  // deliveries that are told in full
}

// threads remembers which topics a channel knows.
type threads struct{ db *db.DB }

func (t threads) read(ctx context.Context, queue, group string) (thread slackThread, err error) {
	err = t.db.Read(ctx, func(tx *db.Tx) error {
		thread, err = db.One(tx, scanJSON[slackThread], "SELECT body FROM route_threads WHERE queue = ? AND grp = ?", queue, group)
		return err
	})
	if fault.Of(err) == fault.NotFound {
		err = nil
	}
	return thread, err
}

func (t threads) write(ctx context.Context, queue, group string, thread slackThread) error {
	body, err := json.Marshal(thread)
	if err != nil {
		return err
	}
	return t.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO route_threads (queue, grp, opened, body) VALUES (?, ?, ?, ?)
			ON CONFLICT (queue, grp) DO UPDATE SET opened = excluded.opened, body = excluded.body`, queue, group, thread.Opened.UnixMicro(), body)
		return err
	})
}
