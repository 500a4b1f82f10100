package detect_test

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/journal"
	"github.com/haechi-dev/haechi/room/detect"
	rules "github.com/haechi-dev/haechi/rules/detect"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/finding"
	"github.com/haechi-dev/haechi/word/record"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		detectUntilKilled(dir)
	}
	dbtest.Main(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func files(t testing.TB) []sigma.File {
	t.Helper()
	all, err := sigma.Load(rules.Files)
	must(t, err)
	return all
}

// examples are the records of a family's example files with that prefix.
func examples(t testing.TB, file, prefix string) (all []record.Record) {
	t.Helper()
	for _, f := range files(t) {
		for _, x := range append(slices.Clone(f.Bad), f.Good...) {
			if f.Name == file && strings.HasPrefix(x.Name, prefix) {
				for _, text := range x.Records {
					all = append(all, cloudTrail(text))
				}
			}
		}
	}
	if len(all) == 0 {
		t.Fatalf("no examples %s in %s", prefix, file)
	}
	return all
}

func cloudTrail(text string) record.Record {
	_, rest, _ := strings.Cut(text, `"eventTime": "`)
	at, _ := time.Parse(time.RFC3339, rest[:min(20, len(rest))])
	return record.Record{Time: at, Source: "aws.cloudtrail", Text: text}
}

func schemas() []db.Schema { return []db.Schema{bus.Schema(), hub.Schema(), detect.Schema()} }

// house is the room with a real journal, bus and hub.
type house struct {
	t       testing.TB
	ctx     context.Context
	db      *db.DB
	bus     *bus.Bus
	hub     *hub.Hub
	journal *journal.Journal
	room    *detect.Detect
	stop    func()
	log     strings.Builder
}

func build(t testing.TB, ctx context.Context, d *db.DB) *house {
	t.Helper()
	h := &house{t: t, ctx: ctx, db: d, bus: bus.New(d)}
	var err error
	h.hub, err = hub.New(ctx, hub.Config{DB: d, Bus: h.bus, Account: "111122223333", Region: "us-east-1"})
	must(t, err)
	h.journal, err = journal.Open(journal.Config{Dir: filepath.Join(t.TempDir(), "journal")})
	must(t, err)
	t.Cleanup(func() { h.journal.Close() })
	h.start()
	return h
}

func (h *house) start() {
	h.t.Helper()
	var err error
	h.room, err = detect.New(detect.Config{DB: h.db, Journal: h.journal, Hub: h.hub, Rules: files(h.t), Maker: finding.Maker{Account: "111122223333", Region: "us-east-1"},
		Log: slog.New(slog.NewTextHandler(&h.log, nil))})
	must(h.t, err)
	ctx, cancel := context.WithCancel(h.ctx)
	done := make(chan error)
	go func() { done <- h.room.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("the room ended with %v", err)
		}
	})
	h.t.Cleanup(h.stop)
}

// watch appends records and waits until the room has looked at them.
func (h *house) watch(request string, records ...record.Record) {
	h.t.Helper()
	must(h.t, h.journal.Append(h.ctx, request, records...))
	h.settle()
}

func (h *house) settle() {
	h.t.Helper()
	for h.room.Stats().Position != h.journal.End() || h.pending() > 0 {
		if h.ctx.Err() != nil {
			h.t.Fatalf("the room does not get on: %+v %s", h.room.Stats(), h.log.String())
		}
		time.Sleep(time.Millisecond)
	}
}

func (h *house) pending() (n int64) {
	h.t.Helper()
	must(h.t, h.db.Read(h.ctx, func(tx *db.Tx) (err error) {
		n, err = db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM detect_findings WHERE pending = 1`)
		return err
	}))
	return n
}

func (h *house) findings() []finding.Finding {
	h.t.Helper()
	page, err := h.hub.Find(h.ctx, hub.Query{Limit: 1000})
	must(h.t, err)
	slices.SortFunc(page.Findings, func(a, b finding.Finding) int {
		return strings.Compare(a.GeneratorID+a.ID, b.GeneratorID+b.ID)
	})
	return page.Findings
}

// told is how many events the hub has published.
func (h *house) told() (n int64) {
	h.t.Helper()
	must(h.t, h.db.Read(h.ctx, func(tx *db.Tx) (err error) {
		n, err = h.bus.Head(tx)
		return err
	}))
	return n
}

// What happened is told with who, what, where, how often and what to do, and lands in the hub.
func TestFinding(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, dbtest.Context(t), open(schemas()...))
		h.watch("a", examples(t, "cloudtrail-disabled.txtar", "bad/stopped")...)
		all := h.findings()
		if len(all) != 1 {
			t.Fatalf("%d findings: %+v", len(all), h.room.Stats())
		}
		f := all[0]
		got := map[string]string{
			"generator": f.GeneratorID, "account": f.AccountID, "region": f.Region, "severity": string(f.Label()), "types": strings.Join(f.Types, ","), "title": f.Title, "description": f.Description,
			"first": f.FirstObservedAt, "last": f.LastObservedAt, "created": f.CreatedAt, "updated": f.UpdatedAt, "target": f.Resources[0].Type + " " + f.Resources[0].ID, "actor": f.Resources[1].Type + " " + f.Resources[1].ID,
			"count": f.ProductFields["haechi/detect/count"], "attack": f.ProductFields["haechi/detect/attack"], "ip": f.ProductFields["haechi/detect/ip"], "product": f.ProductARN, "status": string(f.Status()),
		}
		want := map[string]string{
			"generator": "detect/cloudtrail-disabled", "account": "111122223333", "region": "us-east-1", "severity": "HIGH", "types": "TTPs/Defense Evasion/Stealth:IAMUser-CloudTrailLoggingDisabled",
			"title":       "CloudTrail was stopped, deleted or made blind",
			"description": "A trail was stopped or deleted, or changed so that it records less than before. arn:aws:iam::111122223333:user/alice called StopLogging of cloudtrail.amazonaws.com from 198.51.100.7 at 2026-02-03T04:05:06Z.",
			"first":       "2026-02-03T04:05:06.000Z", "last": "2026-02-03T04:05:06.000Z", "created": "2026-02-03T04:05:06.000Z", "updated": "2026-02-03T04:05:06.000Z",
			"target": "AwsCloudTrailTrail arn:aws:cloudtrail:us-east-1:111122223333:trail/main", "actor": "AwsIamUser arn:aws:iam::111122223333:user/alice",
			"count": "1", "attack": "defense-evasion t1562.008", "ip": "198.51.100.7", "product": "arn:aws:securityhub:us-east-1:111122223333:product/111122223333/default", "status": "NEW",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if !strings.Contains(f.ProductFields[finding.FieldEvidence], `"StopLogging"`) || f.Remediation == nil || !strings.Contains(string(f.Extra), `"AwsApiCallAction"`) {
			t.Errorf("evidence %q, remediation %v, more %s", f.ProductFields[finding.FieldEvidence], f.Remediation, f.Extra)
		}
	})
}

// The same events again, in whatever request, after a restart too, raise and tell nothing; new ones are counted in their finding.
func TestAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, dbtest.Context(t), open(schemas()...))
		attack := append(examples(t, "root-sign-in.txtar", "bad/with-mfa"), examples(t, "console-brute-force.txtar", "bad/")...)
		attack = append(attack, examples(t, "s3-bucket-public.txtar", "bad/")...)
		h.watch("one", attack...)
		before, told := h.findings(), h.told()
		if len(before) < 4 {
			t.Fatalf("%d findings", len(before))
		}
		for round := range 3 {
			if round == 1 {
				h.stop()
				h.start()
			}
			slices.Reverse(attack)
			for i, r := range attack {
				must(t, h.journal.Append(h.ctx, fmt.Sprint(round, i), r))
			}
			h.settle()
			if diff := cmp.Diff(before, h.findings()); diff != "" || h.told() != told {
				t.Fatalf("round %d: told of %d, before %d\n%s", round, h.told(), told, diff)
			}
		}
		later := examples(t, "root-sign-in.txtar", "bad/with-mfa")[0]
		for i, when := range []string{"2026-02-03T04:05:06Z", "2026-02-03T22:00:00Z", "2026-02-03T01:00:00Z", "2026-02-04T01:00:00Z"} {
			text := strings.NewReplacer("2026-02-03T04:05:06Z", when, `"eventID": "`, fmt.Sprintf(`"eventID": "%d`, i)).Replace(later.Text)
			h.watch("later"+when, cloudTrail(text))
		}
		got := map[string]string{}
		for _, f := range h.findings() {
			if f.GeneratorID == "detect/root-sign-in" {
				got[f.FirstObservedAt+" "+f.LastObservedAt] = f.ProductFields["haechi/detect/count"]
			}
		}
		want := map[string]string{"2026-02-03T01:00:00.000Z 2026-02-03T22:00:00.000Z": "4", "2026-02-04T01:00:00.000Z 2026-02-04T01:00:00.000Z": "1"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// Someone who goes on trying passwords is one finding that grows, whatever batches the tries come in; quiet rules raise nothing.
func TestEpisode(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, dbtest.Context(t), open(schemas()...))
		try := examples(t, "console-brute-force.txtar", "bad/one-address")[0].Text
		for i := range 30 {
			at := time.Date(2026, 2, 3, 5, i, 0, 0, time.UTC).Format(time.RFC3339)
			text := strings.NewReplacer("2026-02-03T04:00:00Z", at, `"eventID": "`, fmt.Sprintf(`"eventID": "%d`, i)).Replace(try)
			h.watch(fmt.Sprint(i), cloudTrail(text))
		}
		all := h.findings()
		if len(all) != 1 || all[0].GeneratorID != "detect/console-brute-force" || all[0].ProductFields["haechi/detect/count"] != "30" ||
			all[0].FirstObservedAt != "2026-02-03T05:00:00.000Z" || all[0].LastObservedAt != "2026-02-03T05:29:00.000Z" {
			t.Errorf("%d findings: %+v", len(all), all)
		}
	})
}

// A flood of hits in one request is one finding with all of them.
func TestFlood(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, dbtest.Context(t), open(schemas()...))
		one := examples(t, "root-sign-in.txtar", "bad/with-mfa")[0].Text
		var flood []record.Record
		for i := range 2300 {
			flood = append(flood, cloudTrail(strings.Replace(one, `"eventID": "`, fmt.Sprintf(`"eventID": "%d`, i), 1)))
		}
		h.watch("flood", flood...)
		all, s := h.findings(), h.room.Stats()
		if len(all) != 1 || all[0].ProductFields["haechi/detect/count"] != "2300" || s.Hits["root-sign-in"] != 2300 || s.Findings != 1 {
			t.Errorf("%d findings, %+v", len(all), s)
		}
	})
}

// A finding is on the bus within two seconds after the record was kept: the room is woken, it does not poll.
func TestQuick(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), schemas()...)
	must(t, err)
	defer d.Close()
	h := build(t, dbtest.Context(t), d)
	h.watch("warm", record.Record{Source: "text", Text: "x"})
	told := make(chan event.Event, 10)
	ctx, cancel := context.WithCancel(h.ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		h.bus.Follow(ctx, "test", func(_ context.Context, e event.Event) error { told <- e; return nil })
	})
	defer wait.Wait()
	defer cancel()
	began := time.Now()
	must(t, h.journal.Append(h.ctx, "attack", examples(t, "guardduty-disabled.txtar", "bad/deleted")...))
	e := <-told
	if took := time.Since(began); took > 2*time.Second || e.Type != finding.Imported {
		t.Errorf("%s after %v", e.Type, took)
	} else {
		t.Logf("told after %v", took)
	}
}

// A record that cannot be read costs itself alone, and is counted with its reason.
func TestBrokenRecord(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), schemas()...)
	must(t, err)
	defer d.Close()
	h := build(t, dbtest.Context(t), d)
	good := examples(t, "guardduty-disabled.txtar", "bad/deleted")[0]
	h.watch("mixed", record.Record{Source: "aws.cloudtrail", Text: `{"eventName":`}, record.Record{Source: "text", Text: "just text"}, good)
	s := h.room.Stats()
	if s.Unread != 1 || !strings.Contains(s.WhyUnread, "aws.cloudtrail: no JSON") || s.Records != 3 || len(h.findings()) != 1 {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(h.log.String(), "a record cannot be read") {
		t.Errorf("log: %s", h.log.String())
	}
}

// Whatever a sender puts into a record, what is found in it is told.
func TestHostileRecord(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, dbtest.Context(t), open(schemas()...))
		stop := examples(t, "cloudtrail-disabled.txtar", "bad/stopped")[0].Text
		for i, hostile := range []string{`\u0000`, `\n\u001b[31m`, strings.Repeat("x", 5000), `\ud800`, `"}`, `é{region}`} {
			if i == 4 {
				hostile = `\"}`
			}
			text := strings.NewReplacer(`"aws-cli/2.9.0"`, `"`+hostile+`"`, `"us-east-1"`, `"`+hostile+`"`, `"main"`, fmt.Sprintf(`"%d%s"`, i, hostile), `"198.51.100.7"`, `"`+hostile+`"`, `"eventID": "`, fmt.Sprintf(`"eventID": "%d`, i), `user/alice`, `user/`+hostile, `"111122223333"`, `"`+hostile+`"`).Replace(stop)
			h.watch(fmt.Sprint(i), cloudTrail(text))
			if n := len(h.findings()); n != i+1 {
				t.Fatalf("%.40s: %d findings: %+v", hostile, n, h.room.Stats())
			}
		}
	})
}

// A rule of few words makes a whole finding, of records that are no JSON, too.
func TestPlainRule(t *testing.T) {
	r, err := sigma.Parse("x.yml", []byte("title: Panic\nlogsource: {category: text}\ndetection: {s: [panic], condition: s}\n"))
	must(t, err)
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, dbtest.Context(t), open(schemas()...))
		scan, err := detect.NewScan([]sigma.File{{Rules: r}}, finding.Maker{Account: "111122223333", Region: "us-east-1"})
		must(t, err)
		must(t, scan.Observe(record.Record{Time: time.Unix(1e9, 0), Source: "text", Text: "kernel PANIC"}))
		did, err := h.hub.Import(h.ctx, finding.Scan{Tool: detect.Tool}, scan.Findings()...)
		if err != nil || did.New != 1 || len(did.Failed) > 0 {
			t.Errorf("%+v %v", did, err)
		}
	})
}

// A rule that says under haechi what nobody understands is refused with its place.
func TestBrokenRule(t *testing.T) {
	for text, want := range map[string]string{
		"haechi: {typos: []}": "x.yml:4:9", "haechi: {resource: {type: AwsS3Bucket}}": "needs a type and an id", "haechi: {types: [TTP/x]}": `type "TTP/x" under haechi is not`,
	} {
		r, err := sigma.Parse("x.yml", []byte("title: t\nlogsource: {product: aws}\ndetection: {s: {a: b}, condition: s}\n"+text))
		must(t, err)
		if _, err := detect.New(detect.Config{Rules: []sigma.File{{Rules: r}}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A replayed folder of real events raises each finding once, on what was an attack, and nothing on ordinary work.
func TestReplay(t *testing.T) {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	folder := filepath.Join(dir, "detection")
	if _, err := os.Stat(folder); err != nil {
		t.Skip("no detection in HAECHI_TESTDATA")
	}
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, dbtest.Context(t), open(schemas()...))
		var first []finding.Finding
		var told int64
		for round := range 2 {
			replay(t, h, folder, round)
			if round == 0 {
				first, told = h.findings(), h.told()
				continue
			}
			if diff := cmp.Diff(first, h.findings()); diff != "" || h.told() != told {
				t.Errorf("the second time: told of %d, before %d\n%s", h.told(), told, diff)
			}
		}
		counts := map[string]int{}
		for _, f := range first {
			counts[f.GeneratorID]++
			if f.AccountID == "218007301253" {
				t.Errorf("a finding of ordinary work: %s %s", f.GeneratorID, f.Description)
			}
		}
		s := h.room.Stats()
		t.Logf("%d records, %d unread, findings: %v", s.Records, s.Unread, counts)
		want := map[string]int{"detect/cloudtrail-disabled": 2, "detect/access-key-for-another-user": 1}
		if diff := cmp.Diff(want, counts); diff != "" || s.Unread > 0 {
			t.Errorf("unread %s\n%s", s.WhyUnread, diff)
		}
	})
}

// replay appends the CloudTrail events of the samples, each file as a request, in another order each round.
func replay(t *testing.T, h *house, folder string, round int) {
	t.Helper()
	names := append(glob(t, folder, "stratus/*.json"), glob(t, folder, "samples/cloudtrail-benign/*.json")...)
	if round > 0 {
		slices.Reverse(names)
	}
	for _, name := range names {
		if filepath.Base(name) == "manifest.json" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, name))
		must(t, err)
		records := trailEvents(t, text)
		must(t, h.journal.Append(h.ctx, fmt.Sprint(round, name), records...))
	}
	h.settle()
}

func glob(t *testing.T, folder, pattern string) []string {
	names, err := fs.Glob(os.DirFS(folder), pattern)
	must(t, err)
	return names
}

const (
	childDir  = "HAECHI_DETECT_TEST_DIR" // makes the test binary the one that is killed
	killTries = 120
)

// detectUntilKilled runs the room over the journal, and says when it has looked at all.
func detectUntilKilled(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	d, err := db.Open(ctx, "sqlite:"+filepath.Join(dir, "state.db"), schemas()...)
	fail(err)
	h, err := hub.New(ctx, hub.Config{DB: d, Bus: bus.New(d), Account: "111122223333", Region: "us-east-1"})
	fail(err)
	j, err := journal.Open(journal.Config{Dir: filepath.Join(dir, "journal")})
	fail(err)
	all, err := sigma.Load(rules.Files)
	fail(err)
	room, err := detect.New(detect.Config{DB: d, Journal: j, Hub: h, Rules: all, Maker: finding.Maker{Account: "111122223333", Region: "us-east-1"}})
	fail(err)
	go room.Run(ctx)
	fmt.Println("ready")
	for room.Stats().Position != j.End() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // the hub gets the last ones
	fmt.Println("done")
	select {}
}

// A room that is killed at any moment loses no detection and counts none twice.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	j, err := journal.Open(journal.Config{Dir: filepath.Join(dir, "journal")})
	must(t, err)
	try := examples(t, "console-brute-force.txtar", "bad/one-address")[0].Text
	root := examples(t, "root-sign-in.txtar", "bad/with-mfa")[0].Text
	for i := range killTries {
		id := fmt.Sprintf(`"eventID": "%d-`, i)
		at := time.Date(2026, 2, 3, 4, 0, i*20, 0, time.UTC).Format(time.RFC3339)
		records := []record.Record{
			cloudTrail(strings.NewReplacer("2026-02-03T04:00:00Z", at, `"eventID": "`, id).Replace(try)),
			cloudTrail(strings.NewReplacer("2026-02-03T04:05:06Z", at, `"eventID": "`, id).Replace(root)),
		}
		must(t, j.Append(t.Context(), fmt.Sprint(i), records...))
		for k := range 15 { // so that there are many batches
			must(t, j.Append(t.Context(), fmt.Sprint(i, k), slices.Repeat([]record.Record{{Source: "text", Text: "noise"}}, 20)...))
		}
	}
	must(t, j.Close())
	kills := 0
	for done := false; !done; {
		child := exec.CommandContext(dbtest.Context(t), os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		for lines := bufio.NewScanner(out); lines.Scan(); {
			switch lines.Text() {
			case "ready":
				if kills < 30 {
					time.AfterFunc(time.Duration(rand.IntN(40))*time.Millisecond, func() { child.Process.Signal(syscall.SIGKILL) })
				}
			case "done":
				done = true
				child.Process.Signal(syscall.SIGKILL)
			}
		}
		child.Wait()
		if child.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the child ended by itself: %v", child.ProcessState)
		}
		kills++
	}
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(dir, "state.db"), schemas()...)
	must(t, err)
	defer d.Close()
	h := &house{t: t, ctx: t.Context(), db: d}
	h.hub, err = hub.New(t.Context(), hub.Config{DB: d, Bus: bus.New(d), Account: "111122223333", Region: "us-east-1"})
	must(t, err)
	got := map[string]int{}
	for _, f := range h.findings() {
		n, _ := strconv.Atoi(f.ProductFields["haechi/detect/count"])
		got[f.GeneratorID] += n
	}
	want := map[string]int{"detect/root-sign-in": killTries, "detect/console-brute-force": killTries}
	if !maps.Equal(got, want) || h.pending() != 0 {
		t.Errorf("after %d kills: %v, want %v", kills, got, want)
	}
	t.Logf("%d kills", kills)
}
