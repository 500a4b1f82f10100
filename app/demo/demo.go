// Package demo plays the whole loop on this machine: a push, a log line and a resource, each from its source to what Slack hears.
package demo

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/fault"
)

// Config says where the demo plays.
type Config struct {
	Data   string    // its own folder; "": below the user's cache. What a former demo left there is removed
	Listen string    // a loopback address; if its port is taken the next free one serves
	Exit   bool      // end after the third river
	Out    io.Writer // narration for people
	Log    *slog.Logger
}

// River is what came of one river.
type River struct {
	Findings int     `json:"findings"`
	Messages int     `json:"messages"`
	Seconds  float64 `json:"seconds"` // from the source to the last message
}

// Result is what came of the demo.
type Result struct {
	Rivers  map[string]River `json:"rivers"`
	Slack   []string         `json:"slack"` // what was said, in order
	Seconds float64          `json:"seconds"`
}

// marker tells a demo's folder from one that is somebody's.
const marker = ".haechi-demo"

// Run plays the demo, and unless c.Exit goes on serving until ctx ends.
func Run(ctx context.Context, c Config) (Result, error) {
	began := time.Now()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	folder, err := c.folder()
	if err != nil {
		return Result{}, err
	}
	slack, err := listenSlack()
	if err != nil {
		return Result{}, err
	}
	defer slack.close()
	config := app.Default(func(string) string { return "" })
	config.Data, config.Listen = folder, c.Listen
	config.Outbound.Allow = []string{slack.host}
	a, err := app.Open(ctx, config, app.Env{Log: c.Log, Getenv: func(string) string { return "" }, Version: "demo"})
	if err != nil {
		return Result{}, err
	}
	defer a.Close()
	l, err := a.Listen(true)
	if err != nil {
		return Result{}, err
	}
	p := &play{Config: c, app: a, url: a.URL(l), slack: slack, folder: folder}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	ready := make(chan struct{})
	go func() { served <- a.Serve(ctx, l, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-served:
		return Result{}, err
	}
	result, err := p.all(ctx, began)
	if err == nil && !c.Exit {
		p.invite(ctx)
		return result, <-served
	}
	stop()
	return result, errors.Join(err, <-served)
}

func (c Config) folder() (string, error) {
	folder := c.Data
	if folder == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		folder = filepath.Join(cache, "haechi", "demo")
	}
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("looking at the demo's folder: %w", err)
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(folder, marker)); err != nil {
			return "", fault.Invalid.Errorf("%s is not empty and no demo's: give another folder with -data", folder)
		}
		if err := app.Unused(folder); err != nil {
			return "", err
		}
		if err := os.RemoveAll(folder); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	return folder, os.WriteFile(filepath.Join(folder, marker), []byte("made by haechi demo, and removed by the next one\n"), 0o600)
}

// play is one performance.
type play struct {
	Config
	app    *app.App
	url    string
	slack  *slack
	folder string

	git, intake seal.Secret
}

func (p *play) say(format string, a ...any) { fmt.Fprintf(p.Out, format+"\n", a...) }

// all plays the three rivers.
func (p *play) all(ctx context.Context, began time.Time) (Result, error) {
	r := Result{Rivers: map[string]River{}}
	p.say("Haechi guards a small shop on this machine. Console: %s\n", p.url)
	if err := p.prepare(ctx); err != nil {
		return r, fmt.Errorf("preparing: %w", err)
	}
	for _, river := range []struct {
		name  string
		count hub.Filters
		play  func(context.Context) error
	}{
		{"push", field("haechi/target", "shop"), p.push},
		{"log", field("haechi/tool", "detect"), p.logLine},
		{"resource", field("haechi/tool", "comply"), p.resource},
	} {
		start, said := time.Now(), p.slack.count()
		if err := river.play(ctx); err != nil {
			return r, fmt.Errorf("the river of the %s: %w", river.name, err)
		}
		n, err := p.app.Hub.Count(ctx, river.count)
		if err != nil {
			return r, err
		}
		r.Rivers[river.name] = River{Findings: n, Messages: p.slack.count() - said, Seconds: round(time.Since(start))}
		p.say("")
	}
	r.Slack, r.Seconds = p.slack.all(), round(time.Since(began))
	p.say("Three rivers in %.1f seconds, %d messages to Slack.", r.Seconds, len(r.Slack))
	return r, nil
}

func field(key, value string) hub.Filters {
	return hub.Filters{"ProductFields": []hub.Condition{{Key: key, Value: value, Comparison: "EQUALS"}}}
}

func round(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// prepare makes the administrator, the credentials that the demo uses, and the routes to Slack.
func (p *play) prepare(ctx context.Context) error {
	a := p.app
	if _, err := a.Access.First(ctx, p.folder, nil); err != nil {
		return err
	}
	var err error
	for _, name := range []string{ann, ben} {
		if err := a.Access.AddUser(ctx, name, access.Holder{Attached: []string{access.Developer}, Tags: map[string]string{"haechi:email": name + "@shop.example"}}); err != nil {
			return err
		}
	}
	if _, p.git, err = a.Access.CreateToken(ctx, ann, access.Git); err != nil {
		return err
	}
	if _, err := a.Source.Create(ctx, source.Repository{Name: "shop", Description: "sells tea"}); err != nil {
		return err
	}
	if _, p.intake, err = a.Access.CreateToken(ctx, access.AdminUser, access.Intake); err != nil {
		return err
	}
	slack, err := a.Route.PutReceiver(ctx, route.Receiver{Kind: "slack", Name: "security", Description: "a stand-in for Slack, in the demo itself", Secrets: map[string]seal.Secret{"url": seal.Secret(p.slack.url)}})
	if err != nil {
		return err
	}
	for name, pattern := range map[string]string{
		"failed-runs": `{"source": ["aws.codepipeline"], "detail-type": ["CodePipeline Pipeline Execution State Change"], "detail": {"state": ["FAILED"]}}`,
		"findings":    `{"source": ["aws.securityhub"], "detail-type": ["Security Hub Findings - Imported"], "detail": {"findings": {"Severity": {"Label": ["CRITICAL", "HIGH", "MEDIUM"]}, "ProductFields": {"haechi/tool": ["detect", "comply"]}}}}`,
	} {
		if _, err := a.Route.PutRule(ctx, route.Rule{Name: name, Pattern: pattern, Description: "made by the demo"}, nil); err != nil {
			return err
		}
		if failed, err := a.Route.PutTargets(ctx, "", name, route.RuleTarget{ID: "slack", ARN: slack}); err != nil || len(failed) > 0 {
			return fmt.Errorf("%w %v", err, failed)
		}
	}
	return nil
}

// hears waits until Slack was told something that contains all of words.
func (p *play) hears(ctx context.Context, from int, words ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		news := p.slack.news()
		for _, text := range p.slack.all()[from:] {
			if contains(text, words) {
				p.say("  Slack    %s", indent(text))
				return nil
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("slack never heard of %s, only %q: %w", strings.Join(words, ", "), p.slack.all()[from:], ctx.Err())
		}
	}
}

func contains(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// slackLink is a link as Slack has it; in a terminal only its text is read.
var slackLink = regexp.MustCompile(`<[^|>]*\|([^>]*)>`)

func indent(text string) string {
	text = html.UnescapeString(slackLink.ReplaceAllString(strings.TrimSpace(text), "$1"))
	return strings.ReplaceAll(text, "\n", "\n           ")
}

// invite shows the way in.
func (p *play) invite(ctx context.Context) {
	p.say("\nLook around: %s   (user admin, password in %s)", p.url, filepath.Join(p.folder, access.FirstFile))
	if link, err := p.app.Access.Link(ctx, access.AdminUser); err == nil {
		p.say("Or straight in, once, within a minute:\n  %s/link/%s", p.url, link.Reveal())
	}
	p.say("\nCtrl-C ends it.")
}

func (p *play) post(ctx context.Context, path, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.intake.Reveal())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s: %s", path, resp.Status, answer)
	}
	return err
}
