package route_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/finding"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const (
	account = "111122223333"
	region  = "us-east-1"
)

// node is a router on a database, as one process has it.
type node struct {
	*route.Router
	t    *testing.T
	db   *db.DB
	bus  *bus.Bus
	log  *syncBuffer
	stop func()
}

// opener opens the test's database, again and again.
type opener = func(...db.Schema) *db.DB

// each runs test on both engines.
func each(t *testing.T, test func(t *testing.T, open opener)) {
	t.Helper()
	t.Parallel() // most of them wait most of the time
	dbtest.Each(t, test)
}

// start makes a node and runs it. change may change its configuration first.
func start(t *testing.T, open opener, change ...func(*route.Config)) *node {
	t.Helper()
	n := prepare(t, open, change...)
	n.run()
	return n
}

var keys sync.Map // of a test's name: its root key

func sealer(t *testing.T) *seal.Sealer {
	t.Helper()
	path, _ := keys.LoadOrStore(t.Name(), filepath.Join(t.TempDir(), "root.key"))
	s, err := seal.OpenOrCreate(path.(string))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func prepare(t *testing.T, open opener, change ...func(*route.Config)) *node {
	t.Helper()
	n := &node{t: t, log: &syncBuffer{}}
	n.db = open(bus.Schema(), route.Schema())
	log := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n.bus = bus.New(n.db, bus.Config{Log: log, Poll: 20 * time.Millisecond})
	c := route.Config{DB: n.db, Bus: n.bus, Account: account, Region: region, Log: log, HTTP: &http.Client{Timeout: 10 * time.Second}, Dial: (&net.Dialer{}).DialContext, Seal: sealer(t), Poll: 20 * time.Millisecond}
	for _, f := range change {
		f(&c)
	}
	n.Router = route.New(c)
	return n
}

// run runs the node until the test ends or stop is called.
func (n *node) run() {
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	var once sync.Once
	n.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				n.t.Errorf("run: %v", err)
			}
		})
	}
	n.t.Cleanup(n.stop)
}

// clock is a time that passes when it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 1, 0, 0, 30, 0, time.UTC)} }

func (c *clock) use(config *route.Config) {
	config.Now = func() time.Time {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.now
	}
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rule makes a rule with one target.
func (n *node) rule(name, pattern, arn string, change ...func(*route.RuleTarget)) {
	n.t.Helper()
	must(n.t)(n.PutRule(n.t.Context(), route.Rule{Name: name, Pattern: pattern}, nil))
	target := route.RuleTarget{ID: "t", ARN: arn}
	for _, f := range change {
		f(&target)
	}
	failed, err := n.PutTargets(n.t.Context(), "", name, target)
	if err != nil || len(failed) > 0 {
		n.t.Fatalf("putting target: %v %v", err, failed)
	}
}

// webhook makes a configured webhook.
func (n *node) webhook(name, url string) (arn string) {
	n.t.Helper()
	return must(n.t)(n.PutReceiver(n.t.Context(), route.Receiver{Kind: "webhook", Name: name, Settings: map[string]string{"url": url}, Secrets: map[string]seal.Secret{"secret": webhookSecret}}))
}

const webhookSecret = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"

// slack makes a configured Slack channel that waits a tenth of a second for more.
func (n *node) slack(name, url string, change ...func(*route.Receiver)) (arn string) {
	n.t.Helper()
	c := route.Receiver{Kind: "slack", Name: name, Secrets: map[string]seal.Secret{"url": seal.Secret(url)}, Pacing: route.Pacing{Wait: route.Span(100 * time.Millisecond), Interval: route.Span(2 * time.Second)}}
	for _, f := range change {
		f(&c)
	}
	return must(n.t)(n.PutReceiver(n.t.Context(), c))
}

// publish puts events on the river.
func (n *node) publish(events ...event.Event) {
	n.t.Helper()
	for i := range events {
		events[i].Account, events[i].Region = account, region
	}
	if err := n.db.Write(n.t.Context(), func(tx *db.Tx) error { return n.bus.Publish(tx, events...) }); err != nil {
		n.t.Fatal(err)
	}
}

func must(t *testing.T) func(s string, err error) string {
	return func(s string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// custom is an event that is no finding.
func custom(kind string, detail string) event.Event {
	return event.Event{Source: "shop", Type: kind, Detail: jsontext.Value(detail)}
}

// imported is the hub's event about a finding.
func imported(f finding.Finding) event.Event {
	f = finding.Maker{Account: account, Region: region}.Own(finding.Scan{Tool: "test", Target: "shop"}, f, time.Now())
	detail, err := json.Marshal(map[string]any{"findings": []finding.Finding{f}})
	if err != nil {
		panic(err)
	}
	return event.Event{Source: finding.Source, Type: finding.Imported, Resources: []string{f.ProductARN + "/" + f.ID}, Detail: detail}
}

func open(id string, label finding.Label) finding.Finding {
	return finding.Finding{ID: id, GeneratorID: "rule/" + id, Title: "problem " + id, Severity: &finding.Severity{Label: label}}
}

func with(f finding.Finding, status finding.Status) finding.Finding {
	f.Workflow = &finding.Workflow{Status: status}
	return f
}

// received is a request that a server got.
type received struct {
	header http.Header
	body   []byte
	path   string
	at     time.Time
}

// listener is a receiver of requests.
type listener struct {
	*httptest.Server
	mu  sync.Mutex
	got []received
}

// listen starts a server that answers with answer (200 if it writes nothing), and keeps what it got.
func listen(t *testing.T, answer func(n int, w http.ResponseWriter, r received)) *listener {
	l := &listener{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := received{r.Header, body, r.URL.RequestURI(), time.Now()}
		l.mu.Lock()
		l.got = append(l.got, got)
		n := len(l.got)
		l.mu.Unlock()
		if answer != nil {
			answer(n, w, got)
		}
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) all() []received {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]received{}, l.got...)
}

// until waits until the listener has n requests.
func (l *listener) until(t *testing.T, n int) []received {
	t.Helper()
	eventually(t, fmt.Sprintf("%d requests", n), func() bool { return len(l.all()) >= n })
	return l.all()
}

// eventually waits for something to be true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	pause := 2 * time.Millisecond
	for deadline := time.Now().Add(2 * time.Minute); !is(); pause = min(pause*3/2, 100*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(pause)
	}
}

// settled waits until nothing waits to be delivered.
func (n *node) settled() {
	n.t.Helper()
	eventually(n.t, "an empty queue", func() bool {
		stats, err := n.bus.Stats(n.t.Context())
		if err != nil {
			n.t.Fatal(err)
		}
		for _, f := range stats.Followers {
			if f.Behind > 0 {
				return false
			}
		}
		list, _, err := n.Log(n.t.Context(), route.LogQuery{State: route.Waiting}, route.Page{Limit: 1})
		if err != nil {
			n.t.Fatal(err)
		}
		return len(list) == 0 && len(stats.Followers) > 0
	})
}

// count is how many deliveries are in a state.
func (n *node) count(state route.DeliveryState) (sum int64) {
	n.t.Helper()
	counts, err := n.Counts(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	for _, c := range counts {
		if c.State == state {
			sum += c.N
		}
	}
	return sum
}

// syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// notes keeps which findings were marked.
type notes struct {
	mu   sync.Mutex
	seen []string
}

func (n *notes) notify(_ context.Context, ids []route.Identity) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range ids {
		n.seen = append(n.seen, id.ID)
	}
	return nil
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.seen, " ")
}
