package app

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/door/console"
	"github.com/haechi-dev/haechi/door/forge"
	"github.com/haechi-dev/haechi/door/gitdoor"
	"github.com/haechi-dev/haechi/door/hooks"
	"github.com/haechi-dev/haechi/door/intake"
	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/door/runner"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/door/wire/accessanalyzer"
	"github.com/haechi-dev/haechi/door/wire/codebuild"
	"github.com/haechi-dev/haechi/door/wire/codecommit"
	"github.com/haechi-dev/haechi/door/wire/codepipeline"
	"github.com/haechi-dev/haechi/door/wire/ecr"
	"github.com/haechi-dev/haechi/door/wire/events"
	"github.com/haechi-dev/haechi/door/wire/haechi"
	"github.com/haechi-dev/haechi/door/wire/iam"
	"github.com/haechi-dev/haechi/door/wire/inspector2"
	"github.com/haechi-dev/haechi/door/wire/logs"
	"github.com/haechi-dev/haechi/door/wire/s3"
	"github.com/haechi-dev/haechi/door/wire/secretsmanager"
	"github.com/haechi-dev/haechi/door/wire/securityhub"
	"github.com/haechi-dev/haechi/door/wire/ssm"
	"github.com/haechi-dev/haechi/door/wire/sts"
	"github.com/haechi-dev/haechi/keeper/snapshot"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/finding"
)

// open opens the doors: what the listener hands every request to.
func (a *App) open(ctx context.Context) error {
	salt, err := a.once(ctx, "scan.salt")
	if err != nil {
		return err
	}
	if a.life, err = a.newSecretLife(salt); err != nil {
		return err
	}
	spoken, err := wire.New(wire.Config{
		Keys: a.Access, Gate: a.Access, Log: a.log, Now: a.now, SourceIP: a.sourceIP, Heard: a.heard,
		Services: a.services(),
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /metrics", a.metrics)
	mux.HandleFunc("GET /.well-known/openid-configuration", a.discovery)
	mux.HandleFunc("GET /.well-known/jwks.json", a.jwks)
	a.reports = reports.Handler(reports.Config{Hub: a.Hub, Access: watchedAccess{a.Access}, Bills: bills{a.Inspect}, Own: a.ownScan, Maker: a.maker(), Salt: salt, Folder: a.Config.Data, Now: a.now, SourceIP: a.sourceIP, Log: a.log})
	a.pages, err = console.New(console.Config{
		Access: a.Access, People: a.Access, Logins: a.Access, URL: a.page, Kept: a.kept, DB: a.DB, Hub: a.Hub, Bus: a.Bus, Log: a.log, Now: a.now,
		Account: a.Config.Account, Region: a.Config.Region, Version: a.version, Secure: a.overTLS, SourceIP: a.sourceIP,
		Runs: a.Pipeline, Source: a.Source, Reviewer: a.person, Builds: a.Builds, Logs: a.Work, Assets: a.Inventory, Inspect: a.Inspect, Comply: a.Comply, Routes: a.Route, Loop: a.loop, Reports: a.reports, Secrets: a.life, Policies: func() []iac.Rule { return a.guards.Load().Rules() }, Trail: a.Audit, Records: a.Audit, Known: a.Access.Principal,
		Accounts: accounts{a, a.Access, snapshot.New(a.DB, a.now)},
	})
	if err != nil {
		return err
	}
	git, err := a.gitDoor(ctx)
	if err != nil {
		return err
	}
	hookDialer, err := outbound.New(outbound.Config{Allow: a.Config.Outbound.Allow})
	if err != nil {
		return err
	}
	watched := watchedAccess{a.Access}
	mux.Handle(gitdoor.Prefix, a.watch(git))
	mux.Handle(intake.Prefix, a.watch(intake.Handler(intake.Config{Journal: a.Journal, Access: watched, Items: a.Inventory, Now: a.now, Log: a.log})))
	mux.Handle(hooks.Prefix, a.watch(hooks.Handler(hooks.Config{Hub: a.Hub, Access: watched, Rules: func() []iac.Rule { return a.guards.Load().Rules() }, Policy: func() gate.Policy { return *a.policy.Load() },
		Maker: a.maker(), Fetch: hookDialer.Client(10 * time.Second), Now: a.now, SourceIP: a.sourceIP, Log: a.log})))
	webhooks := a.watch(forge.Handler(forge.Config{Mirror: a.Mirror, Pipelines: a.Pipeline, SourceIP: a.sourceIP, Log: a.log}))
	mux.Handle(forge.Prefix, webhooks)
	mux.Handle(forge.PipelinePrefix, webhooks)
	mux.Handle("/", a.pages)
	files := a.watch(runner.Handler(runner.Config{Builds: a.Builds, Access: watched, Now: a.now, SourceIP: a.sourceIP, Log: a.log, Visited: a.visited}))
	objects := a.watch(s3.Handler(s3.Config{Shelf: a.Shelf, Access: objectAccess{watched, a.Pipeline, a.Config.Account}, Region: a.Config.Region, Bucket: a.bucketOf, Largest: a.Config.Buckets.Object, Now: a.now, SourceIP: a.sourceIP, Log: a.log}))
	a.handler = a.secured(a.dispatch(spoken, a.watch(a.reports), files, objects, mux))
	return nil
}

// services are AWS's, and our own, as far as they are answered.
func (a *App) services() []wire.Service {
	return []wire.Service{sts.Service(a.Access), iam.Service(a.Access), accessanalyzer.Service(), securityhub.Service(a.Hub), inspector2.Service(a.inspector()), ecr.Service(a.inspector()), events.Service(a.Route), codebuild.Service(a.Builds), codecommit.Service(a.codecommit()), codepipeline.Service(a.codepipeline()), secretsmanager.Service(secretsmanager.Config{Vault: a.Vault, Gate: a.Access}), ssm.Service(a.Vault), logs.Service(a.logs()), haechi.Service(a, a.Pipeline, a.Access, a.Hub, a.Audit, a.life, a.Mirror, haechi.Repositories{Source: a.Source, Person: a.person})}
}

func (a *App) codepipeline() codepipeline.Config {
	return codepipeline.Config{Runs: a.Pipeline, Jobs: []codepipeline.JobSource{Jobs(a.Builds)}, Account: a.Config.Account, Region: a.Config.Region, Person: a.person, Page: a.page}
}

func (a *App) logs() logs.Config {
	return logs.Config{Work: a.Work, Gate: a.Access, Account: a.Config.Account, Region: a.Config.Region, Kept: a.Config.Retention.Logs, Now: a.now}
}

func (a *App) inspector() inspector2.Config {
	return inspector2.Config{Hub: a.Hub, Inspect: a.Inspect, Account: a.Config.Account, Region: a.Config.Region}
}

func (a *App) gitDoor(ctx context.Context) (http.Handler, error) {
	salt, err := a.once(ctx, "scan.salt")
	if err != nil {
		return nil, err
	}
	return gitdoor.New(gitdoor.Config{
		Source: a.Source, Access: gitAccess{watchedAccess{a.Access}, regions(a.Config.Region), a.person}, Secrets: secrets{secret.New(salt)}, Keep: a.keep, Pushed: a.pushed, Maker: a.maker(),
		Link:  func(_ string, number int64) string { return a.page("/pulls/" + strconv.FormatInt(number, 10)) },
		Hooks: filepath.Join(a.Config.Data, "hooks"), Log: a.log, Now: a.now, CreateOnPush: true,
	})
}

// page is the address of one of the console's paths, or "" as long as nobody can say how it is reached.
func (a *App) page(path string) string {
	base, _ := a.url.Load().(string)
	if base == "" {
		base = strings.TrimSuffix(a.Config.URL, "/")
	}
	if base == "" {
		return ""
	}
	return base + path
}

// link is a finding's page on the console, and that of all findings for nil.
func (a *App) link(f *finding.Finding) string {
	if f == nil {
		return a.page("/findings")
	}
	return a.page(console.FindingPath(f))
}

// dispatch hands what an AWS client has signed, or asks to be let in by a
// token, to wire, and all else to the doors by prefix.
func (a *App) dispatch(spoken, taken, files, objects, others http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s3.Mine(r) { // signed, as large as files, and of any path: a bucket may be called haechi
			objects.ServeHTTP(w, r)
			return
		}
		if r.URL.Path == reports.Path { // signed or with a token, and larger than what wire holds
			taken.ServeHTTP(w, r)
			return
		}
		if runner.Mine(r.URL.Path) { // signed, and larger still
			files.ServeHTTP(w, r)
			return
		}
		if wire.Mine(r) {
			spoken.ServeHTTP(w, r)
			return
		}
		if !a.known(r.Host) {
			// A name that we do not know is how a page elsewhere gets at a server within (DNS rebinding).
			http.Error(w, "haechi does not answer to the name "+strings.Map(printable, r.Host)+"; hosts in haechi.yaml lists its names", http.StatusMisdirectedRequest)
			return
		}
		others.ServeHTTP(w, r)
	})
}

func printable(r rune) rune {
	if r <= ' ' || r > '~' || strings.ContainsRune(`<>&"'`, r) {
		return '?'
	}
	return r
}

// known tells whether we answer to host.
func (a *App) known(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if loopback(name) || slices.ContainsFunc(a.Config.Hosts, func(h string) bool { return strings.EqualFold(h, name) }) {
		return true
	}
	if u, err := url.Parse(a.Config.URL); err == nil && a.Config.URL != "" && strings.EqualFold(u.Hostname(), name) {
		return true
	}
	listen, _, _ := net.SplitHostPort(a.Config.Listen)
	if addr, err := netip.ParseAddr(name); err == nil {
		// An address cannot be rebound; but only one that we may well be reached at.
		own, err := netip.ParseAddr(listen)
		return listen == "" || err == nil && (own.IsUnspecified() || own == addr)
	}
	return strings.EqualFold(listen, name)
}

// sourceIP is where a request comes from: the connection's address, or what a trusted proxy says.
func (a *App) sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	said := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(said) - 1; i >= 0 && a.trusted(host); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(said[i]))
		if err != nil {
			break
		}
		host = next.Unmap().String()
	}
	return host
}

func (a *App) trusted(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && slices.ContainsFunc(a.Config.Proxies, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

// overTLS tells whether whoever sent r did so over TLS: to us, or to a trusted proxy.
func (a *App) overTLS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && a.trusted(host) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// secured adds what every answer says.
func (a *App) secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if a.overTLS(r) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}
