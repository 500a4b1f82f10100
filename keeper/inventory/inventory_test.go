package inventory_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// house is an inventory on a real database, and its events.
type house struct {
	*testing.T
	*inventory.Inventory
	bus *bus.Bus
}

func each(t *testing.T, test func(h house)) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(bus.Schema(), inventory.Schema())
		b := bus.New(d)
		test(house{t, inventory.New(inventory.Config{DB: d, Bus: b, Account: "111122223333", Region: "ap-northeast-2"}), b})
	})
}

// volume is a configuration item of a volume, captured so many seconds after the epoch.
func volume(captured int, encrypted bool, size int) string {
	return fmt.Sprintf(`{"version":"1.3","accountId":"111122223333","awsRegion":"ap-northeast-2","arn":"arn:aws:ec2:ap-northeast-2:111122223333:volume/vol-1","resourceType":"AWS::EC2::Volume","resourceId":"vol-1",
		"configurationItemStatus":"OK","configurationItemCaptureTime":%d,"configurationStateId":"%d","tags":{},"configuration":"{\"encrypted\":%v,\"size\":%d,\"attachments\":[]}"}`, captured, captured*1000, encrypted, size)
}

func (h house) importText(text string) inventory.Imported {
	h.Helper()
	did, err := h.ImportFile(dbtest.Context(h), "items.json", []byte(text))
	if err != nil {
		h.Fatal(err)
	}
	return did
}

func (h house) events() []event.Event {
	h.Helper()
	events, _, err := h.bus.Range(dbtest.Context(h), time.Time{}, time.Now().Add(time.Hour), 0, 1000)
	if err != nil {
		h.Fatal(err)
	}
	return events
}

var key = inventory.Key{Account: "111122223333", Region: "ap-northeast-2", Type: "AWS::EC2::Volume", ID: "vol-1"}

func (h house) history() (sizes []string) {
	h.Helper()
	versions, _, err := h.History(dbtest.Context(h), inventory.HistoryQuery{Key: key, OldestFirst: true})
	if err != nil {
		h.Fatal(err)
	}
	for _, v := range versions {
		if v.Item.Deleted {
			sizes = append(sizes, fmt.Sprintf("%d gone", v.Item.Captured.Unix()))
			continue
		}
		var c struct{ Size int }
		if err := json.Unmarshal(v.Item.Configuration, &c); err != nil {
			h.Fatal(err)
		}
		sizes = append(sizes, fmt.Sprintf("%d-%d size %d", v.Item.Captured.Unix(), v.Seen.Unix(), c.Size))
	}
	return sizes
}

// A new item, a change and a deletion are kept and told of, each once; what says nothing new is not told of.
func TestImport(t *testing.T) {
	each(t, func(h house) {
		deleted := strings.NewReplacer(`"OK"`, `"ResourceDeleted"`).Replace(volume(400, false, 8))
		for _, c := range []struct {
			text   string
			want   inventory.Imported
			events int
		}{
			{volume(100, false, 8), inventory.Imported{New: 1}, 1},
			{volume(100, false, 8), inventory.Imported{Unchanged: 1}, 1},
			{volume(200, false, 8), inventory.Imported{Unchanged: 1}, 1},
			{volume(300, true, 16), inventory.Imported{Changed: 1}, 2},
			{deleted, inventory.Imported{Deleted: 1}, 3},
			{deleted, inventory.Imported{Unchanged: 1}, 3},
			{volume(500, true, 16), inventory.Imported{New: 1}, 4},
		} {
			if got := h.importText(c.text); got != c.want || len(h.events()) != c.events {
				h.Errorf("%+v with %d events, want %+v with %d\n%s", got, len(h.events()), c.want, c.events, c.text)
			}
		}
		if d := cmp.Diff([]string{"100-200 size 8", "300-300 size 16", "400 gone", "500-500 size 16"}, h.history()); d != "" {
			h.Error(d)
		}
	})
}

// The event is AWS Config's: an EventBridge pattern for those matches it, and its diff names what changed.
func TestEvent(t *testing.T) {
	each(t, func(h house) {
		h.importText(volume(100, false, 8))
		h.importText(volume(200, true, 8))
		e := h.events()[1]
		if e.Type != "Config Configuration Item Change" || e.Source != "aws.config" || !slices.Equal(e.Resources, []string{"arn:aws:ec2:ap-northeast-2:111122223333:volume/vol-1"}) {
			h.Errorf("%+v", e)
		}
		var detail struct {
			MessageType string `json:"messageType"`
			Diff        struct {
				Changed    map[string]inventory.Change `json:"changedProperties"`
				ChangeType string                      `json:"changeType"`
			} `json:"configurationItemDiff"`
			Item struct {
				Type          string         `json:"resourceType"`
				Account       string         `json:"awsAccountId"`
				Captured      string         `json:"configurationItemCaptureTime"`
				Configuration map[string]any `json:"configuration"`
			} `json:"configurationItem"`
		}
		if err := json.Unmarshal(e.Detail, &detail); err != nil {
			h.Fatal(err)
		}
		want := map[string]inventory.Change{"Configuration.encrypted": {Before: false, After: true, Kind: "UPDATE"}}
		if d := cmp.Diff(want, detail.Diff.Changed); d != "" || detail.Diff.ChangeType != "UPDATE" || detail.MessageType != "ConfigurationItemChangeNotification" {
			h.Error(d, string(e.Detail))
		}
		if i := detail.Item; i.Type != "AWS::EC2::Volume" || i.Account != "111122223333" || i.Captured != "1970-01-01T00:03:20.000Z" || i.Configuration["encrypted"] != true {
			h.Errorf("%+v", i)
		}
	})
}

// What is too large for an event is told of by its summary.
func TestOversized(t *testing.T) {
	each(t, func(h house) {
		h.importText(strings.Replace(volume(100, true, 8), `"tags":{}`, `"tags":{"x":"`+strings.Repeat("x", 300<<10)+`"}`, 1))
		detail := string(h.events()[0].Detail)
		if !strings.Contains(detail, `"messageType":"OversizedConfigurationItemChangeNotification"`) || !strings.Contains(detail, `"changeType":"CREATE"`) || len(detail) > 2000 {
			h.Errorf("%.500s", detail)
		}
	})
}

// Items that come late find their place: the newest stays what it is, nothing is told
// of, and the state at any past time is right, in whatever order they came.
func TestLate(t *testing.T) {
	items := []string{volume(100, false, 8), volume(200, false, 9), volume(300, false, 8), volume(400, false, 8), volume(500, false, 7)}
	want := map[int64]int{150: 8, 250: 9, 350: 8, 450: 8, 550: 7}
	for _, order := range [][]int{{4, 3, 2, 1, 0}, {0, 2, 3, 4, 1}, {3, 0, 4, 2, 1}, {1, 0, 4, 3, 2}, {0, 3, 1, 2, 4}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			each(t, func(h house) {
				newest := -1
				told := 0
				for _, i := range order {
					did := h.importText(items[i])
					if i > newest {
						newest = i
						told += did.New + did.Changed
					} else if did.New+did.Changed+did.Deleted > 0 {
						h.Errorf("item %d came late and counts as %+v", i, did)
					}
					if len(h.events()) != told {
						h.Errorf("after item %d there are %d events, want %d", i, len(h.events()), told)
					}
					again := h.importText(items[i])
					if again.Unchanged != 1 {
						h.Errorf("item %d again: %+v", i, again)
					}
				}
				for at, size := range want {
					item, err := h.At(dbtest.Context(h), key, time.Unix(at, 0))
					if err != nil || !strings.Contains(string(item.Configuration), fmt.Sprintf(`"Size":%d`, size)) {
						h.Errorf("at %d: %s, want size %d (%v); %v", at, item.Configuration, size, err, h.history())
					}
				}
				item, err := h.Get(dbtest.Context(h), key)
				if err != nil || !strings.Contains(string(item.Configuration), `"Size":7`) {
					h.Errorf("now: %s %v", item.Configuration, err)
				}
			})
		})
	}
}

// Pages hold everything once, in order, and a token that is none is refused.
func TestPages(t *testing.T) {
	each(t, func(h house) {
		var items []asset.Item
		for i := range 25 {
			items = append(items, asset.Item{Type: "Haechi::Test::Thing", ID: fmt.Sprintf("thing-%02d", i), Captured: time.Unix(int64(i+1), 0), Configuration: []byte(fmt.Sprintf(`{"N":%d}`, i))})
		}
		items = append(items, asset.Item{Type: "Haechi::Test::Other", ID: "other", Captured: time.Unix(1, 0)}, asset.Item{Type: "Haechi::Test::Thing", ID: "gone", Captured: time.Unix(1, 0), Deleted: true})
		if did, err := h.Import(dbtest.Context(h), items...); err != nil || did != (inventory.Imported{New: 26, Deleted: 1}) {
			h.Fatal(did, err)
		}
		var ids []string
		q := inventory.Query{Type: "Haechi::Test::Thing", IDPrefix: "thing-", Limit: 10}
		for pages := 1; ; pages++ {
			page, next, err := h.List(dbtest.Context(h), q)
			if err != nil {
				h.Fatal(err)
			}
			for _, i := range page {
				ids = append(ids, i.ID)
			}
			if q.Token = next; next == "" {
				if pages != 3 {
					h.Errorf("%d pages", pages)
				}
				break
			}
		}
		if len(ids) != 25 || !slices.IsSorted(ids) {
			h.Error(ids)
		}
		counts, err := h.Counts(dbtest.Context(h))
		if d := cmp.Diff([]inventory.Count{{Type: "Haechi::Test::Other", N: 1}, {Type: "Haechi::Test::Thing", N: 25}}, counts); d != "" || err != nil {
			h.Error(d, err)
		}
		if _, _, err := h.List(dbtest.Context(h), inventory.Query{Token: "bm9uc2Vuc2U"}); !errors.Is(err, fault.Invalid) {
			h.Error(err)
		}
		if all, _, err := h.List(dbtest.Context(h), inventory.Query{Deleted: true}); err != nil || len(all) != 27 {
			h.Error(len(all), err)
		}
	})
}

// The history pages too, with what each state changed, and knows no states of what is not there.
func TestHistoryPages(t *testing.T) {
	each(t, func(h house) {
		for i := range 7 {
			h.importText(volume(100*(i+1), false, i))
		}
		q := inventory.HistoryQuery{Key: key, Limit: 3}
		var sizes []any
		for {
			versions, next, err := h.History(dbtest.Context(h), q)
			if err != nil {
				h.Fatal(err)
			}
			for _, v := range versions {
				sizes = append(sizes, string(fmt.Appendf(nil, "%s", v.Changes["Configuration.size"].After)))
			}
			if q.Token = next; next == "" {
				break
			}
		}
		if d := cmp.Diff([]any{"6", "5", "4", "3", "2", "1", "%!s(<nil>)"}, sizes); d != "" {
			h.Error(d)
		}
		within, _, err := h.History(dbtest.Context(h), inventory.HistoryQuery{Key: key, From: time.Unix(200, 0), To: time.Unix(400, 0)})
		if err != nil || len(within) != 2 {
			h.Error(len(within), err)
		}
		if _, _, err := h.History(dbtest.Context(h), inventory.HistoryQuery{Key: inventory.Key{Type: "T", ID: "x"}}); !errors.Is(err, fault.NotFound) {
			h.Error(err)
		}
		if _, err := h.At(dbtest.Context(h), key, time.Unix(50, 0)); !errors.Is(err, fault.NotFound) {
			h.Error(err)
		}
	})
}

// One item that names no asset refuses the whole import, and nothing is kept.
func TestImportRefuses(t *testing.T) {
	each(t, func(h house) {
		good := asset.Item{Type: "Haechi::Test::Thing", ID: "a", Captured: time.Unix(1, 0)}
		for _, bad := range []asset.Item{{}, {Type: "T", Captured: time.Unix(1, 0)}, {Type: "T", ID: "a"}, {Type: "T", ID: "a\x00b", Captured: time.Unix(1, 0)},
			{Type: "T", ID: strings.Repeat("x", 3000), Captured: time.Unix(1, 0)}, {Type: "T", ID: "a", Captured: time.Unix(1, 0), Configuration: []byte("{")}} {
			if _, err := h.Import(dbtest.Context(h), good, bad); !errors.Is(err, fault.Invalid) {
				h.Errorf("%+v: %v", bad, err)
			}
		}
		if all, _, err := h.List(dbtest.Context(h), inventory.Query{}); err != nil || len(all) != 0 {
			h.Error(all, err)
		}
	})
}

// A diff finds items of a list wherever they stand, and says what went, came and changed.
func TestDiff(t *testing.T) {
	tree := func(s string) (m map[string]any) {
		if err := json.Unmarshal([]byte(s), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, c := range []struct{ before, after, want string }{
		{`{"a":1}`, `{"a":1}`, `{}`},
		{`{"a":1,"b":{"c":2}}`, `{"b":{"c":3,"d":4}}`, `{"a":{"previousValue":1,"updatedValue":null,"changeType":"DELETE"},"b.c":{"previousValue":2,"updatedValue":3,"changeType":"UPDATE"},"b.d":{"previousValue":null,"updatedValue":4,"changeType":"CREATE"}}`},
		{`{"l":[1,2,3]}`, `{"l":[3,1,2]}`, `{}`},
		{`{"l":[1,2,3]}`, `{"l":[2,3]}`, `{"l.0":{"previousValue":1,"updatedValue":null,"changeType":"DELETE"}}`},
		{`{"l":[{"p":1,"q":1},{"p":2}]}`, `{"l":[{"p":2},{"p":1,"q":2}]}`, `{"l.1.q":{"previousValue":1,"updatedValue":2,"changeType":"UPDATE"}}`},
		{`{"l":[1]}`, `{"l":{"x":1}}`, `{"l":{"previousValue":[1],"updatedValue":{"x":1},"changeType":"UPDATE"}}`},
		{`{"a":null}`, `{}`, `{}`},
	} {
		got, err := json.Marshal(inventory.Diff(tree(c.before), tree(c.after)), json.Deterministic(true))
		if err != nil || string(got) != c.want {
			t.Errorf("%s to %s:\n got %s\nwant %s", c.before, c.after, got, c.want)
		}
	}
}
