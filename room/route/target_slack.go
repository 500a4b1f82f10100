package route

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

func slackKind() Kind {
	return Kind{
		Name: "slack", Title: "Slack (incoming webhook)", Digest: true,
		Fields: []Field{{Name: "url", Secret: true, Required: true, Help: "the address of an incoming webhook, https://hooks.slack.com/services/…"}},
		Open: func(c Receiver, env *Env) (Target, error) {
			url := c.Secrets["url"].Reveal()
			if err := checkURL(url); err != nil {
				return nil, err
			}
			return &slack{url: url, env: env, gap: gap{least: time.Second}}, nil
		},
	}
}

// slack tells of things in a channel, by an incoming webhook. What it has said
// it can neither change nor continue; see slackBot.
type slack struct {
	url string
	env *Env
	gap gap
}

// Deliver posts one message about all items.
func (s *slack) Deliver(ctx context.Context, d Delivery) error {
	if err := s.gap.wait(ctx); err != nil {
		return err
	}
	g := gather(d.Items, s.env)
	body, err := json.Marshal(slackMessage(&g, s.env.Link(nil)))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", s.url, bytes.NewReader(body))
	if err != nil {
		return fault.Invalid.Wrap(err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	_, err = call(s.env.HTTP, req)
	return err
}

// message is what Slack takes: https://docs.slack.dev/reference/block-kit.
type message struct {
	Channel string  `json:"channel,omitzero"`
	Thread  string  `json:"thread_ts,omitzero"`
	TS      string  `json:"ts,omitzero"`
	Text    string  `json:"text"`
	Blocks  []block `json:"blocks"`
	Links   bool    `json:"unfurl_links"` // never: a foreign text must not fetch pages
	Media   bool    `json:"unfurl_media"`
}

type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text,omitzero"`
	Elements []text `json:"elements,omitzero"`
}

type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// Slack's limits, a little less than each.
const (
	slackText    = 3000 // of the message's own text
	slackHeader  = 150
	slackSection = 1200 // of what one event says; a section may have 3,000
	slackLinks   = 1500 // a longer address is left out
	slackSum     = 8500 // of all blocks: an undocumented limit lies between 9,597 and 11,341
	slackTopics  = 10
)

// slackMessage tells a digest in one message. more is where the console lists everything.
func slackMessage(g *digest, more string) message {
	b := blocks{room: slackSum}
	b.header(g.headline())
	shown := 0
	for _, t := range g.topics {
		if shown == slackTopics || !b.section(slackTopic(t)) {
			break
		}
		shown++
	}
	notes := 0
	for _, n := range g.notes {
		if shown+notes == slackTopics || !b.section(slackNote(n)) {
			break
		}
		notes++
	}
	b.context(rest(g, shown, notes), more)
	return message{Text: escaped(g.headline(), slackText), Blocks: b.list}
}

// rest says what a message has no room for.
func rest(g *digest, shown, notes int) string {
	var parts []string
	if n := len(g.topics) - shown; n > 0 {
		findings := 0
		for _, t := range g.topics[shown:] {
			findings += t.opened + t.closed
		}
		parts = append(parts, fmt.Sprintf("%s in %s", plural(findings, "more finding"), plural(n, "group")))
	}
	if n := len(g.notes) - notes; n > 0 {
		parts = append(parts, plural(n, "more event"))
	}
	return strings.Join(parts, ", ")
}

// blocks are put together as long as there is room.
type blocks struct {
	list []block
	room int
}

func (b *blocks) header(s string) {
	s = clip(s, slackHeader)
	b.room -= len(s)
	b.list = append(b.list, block{Type: "header", Text: &text{"plain_text", s}})
}

// section adds markdown, unless it has no room.
func (b *blocks) section(s string) bool {
	const reserved = 400 // for what stands at the end
	if len(s) > b.room-reserved {
		return false
	}
	b.room -= len(s)
	b.list = append(b.list, block{Type: "section", Text: &text{"mrkdwn", s}})
	return true
}

func (b *blocks) context(s, more string) {
	if more != "" {
		s = strings.TrimPrefix(s+" · <"+more+"|Show all>", " · ")
	}
	if s != "" {
		b.list = append(b.list, block{Type: "context", Elements: []text{{"mrkdwn", s}}})
	}
}

func slackTopic(t *topic) string {
	var s strings.Builder
	title := escaped(t.title, 250)
	if t.link != "" && len(t.link) <= slackLinks {
		title = slackLink(t.link, t.title)
	}
	s.WriteString(strings.TrimSpace(fmt.Sprintf("%s *%s* %s %s", slackMark(t), cmp.Or(string(t.label), "INFORMATIONAL"), title, t.count())))
	if len(t.where) > 0 {
		fmt.Fprintf(&s, "\n%s", escaped(strings.Join(t.where, ", "), 300))
		if n := t.opened + t.closed - len(t.where); n > 0 {
			fmt.Fprintf(&s, " and %d more", n)
		}
	}
	if t.account != "" {
		fmt.Fprintf(&s, "\n%s %s", escaped(t.account, 50), escaped(t.region, 50))
	}
	if t.advice != "" && t.opened > 0 {
		fmt.Fprintf(&s, "\n_What to do:_ %s", escaped(t.advice, 300))
	}
	return s.String()
}

// slackLink is a link of ours with a foreign text.
func slackLink(address, text string) string {
	return "<" + address + "|" + strings.ReplaceAll(escaped(text, 250), "|", "¦") + ">"
}

func slackMark(t *topic) string {
	switch {
	case t.opened == 0:
		return ":white_check_mark:"
	case t.label == finding.Critical:
		return ":rotating_light:"
	case t.label == finding.High:
		return ":red_circle:"
	case t.label == finding.Medium:
		return ":large_orange_circle:"
	}
	return ":large_blue_circle:"
}

func slackNote(n note) string {
	mark := ":information_source:"
	if n.bad {
		mark = ":x:"
	}
	title := "*" + escaped(n.title, 250) + "*"
	if n.link != "" && len(n.link) <= slackLinks {
		title = "*" + slackLink(n.link, n.title) + "*"
	}
	return mark + " " + title + "\n" + escaped(n.text, slackSection)
}

// escaped is the beginning of a foreign text, of at most most bytes, so that
// it makes no links, mentions or commands.
func escaped(s string, most int) string {
	s = clip(s, most)
	all := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	if long := all.Replace(s); len(long) <= most {
		return long
	}
	var b strings.Builder
	for _, r := range s {
		one := all.Replace(string(r))
		if b.Len()+len(one) > most-len("…") {
			break
		}
		b.WriteString(one)
	}
	return b.String() + "…"
}

// clip is the beginning of a text, in valid UTF-8 and without control characters.
func clip(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= most {
		return s
	}
	end := most - len("…")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// slackAnswer is what the Web API answers.
type slackAnswer struct {
	OK      bool           `json:"ok"`
	Error   string         `json:"error"`
	TS      string         `json:"ts"`
	Channel string         `json:"channel"`
	Rest    jsontext.Value `json:",embed"`
}
