package shelf_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type house struct {
	*shelf.Shelf
	t     *testing.T
	db    *db.DB
	bus   *bus.Bus
	files *blob.Folder
	now   time.Time
}

func open(t *testing.T, d *db.DB) *house {
	t.Helper()
	files, err := blob.Open(filepath.Join(t.TempDir(), "blobs"))
	must(t, err)
	h := &house{t: t, db: d, bus: bus.New(d, bus.Config{Poll: 20 * time.Millisecond}), files: files, now: time.Now()}
	h.Shelf = shelf.New(shelf.Config{DB: d, Bus: h.bus, Files: files, Account: "111122223333", Region: "us-east-1", Now: func() time.Time { return h.now }, Largest: 20 << 20, Most: 40 << 20})
	return h
}

func each(t *testing.T, f func(t *testing.T, h *house)) {
	dbtest.Each(t, func(t *testing.T, opener func(...db.Schema) *db.DB) {
		f(t, open(t, opener(bus.Schema(), shelf.Schema())))
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) put(bucket, key, text string) shelf.Object {
	h.t.Helper()
	o, err := h.Put(h.t.Context(), shelf.Object{Bucket: bucket, Key: key, Who: "arn:aws:iam::111122223333:user/ann"}, strings.NewReader(text), shelf.If{})
	must(h.t, err)
	return o
}

// told are the events so far, as KIND KEY.
func (h *house) told() (all []string) {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	must(h.t, h.db.Write(ctx, func(tx *db.Tx) error {
		return h.bus.Publish(tx, event.Event{Type: "end", Source: "test", Account: "111122223333", Region: "us-east-1", Detail: []byte("{}")})
	}))
	err := h.bus.Follow(ctx, bus.ID(), func(_ context.Context, e event.Event) error {
		if e.Type == "end" {
			stop()
			return nil
		}
		var d shelf.Happened
		must(h.t, json.Unmarshal(e.Detail, &d))
		all = append(all, e.Type+" "+d.Object.Key)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		h.t.Fatal(err)
	}
	return all
}

// What is put lies there under its name, is told of, takes the place of what was there, and goes.
func TestPut(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		if _, err := h.Put(ctx, shelf.Object{Bucket: "shop", Key: "k"}, strings.NewReader("x"), shelf.If{}); !errors.Is(err, fault.NotFound) || errors.Is(err, shelf.ErrNoKey) {
			t.Errorf("no bucket: %v", err)
		}
		must(t, h.CreateBucket(ctx, "shop", "ann"))
		if err := h.CreateBucket(ctx, "shop", "bob"); !errors.Is(err, fault.Exists) {
			t.Errorf("%v", err)
		}
		h.put("shop", "a/k", "first")
		o := h.put("shop", "a/k", "second")
		found, err := h.Find(ctx, "shop", "a/k")
		must(t, err)
		if found.Digest != o.Digest || found.Size != 6 || found.Who == "" || found.Tag() != "a9f0e61a137d86aa9db53465e0801612" {
			t.Errorf("%+v", found)
		}
		file, err := h.Open(ctx, found)
		must(t, err)
		text, err := io.ReadAll(file)
		file.Close()
		if err != nil || string(text) != "second" {
			t.Errorf("%q, %v", text, err)
		}
		if wanted, err := h.Wanted(ctx, o.Digest); err != nil || !wanted {
			t.Errorf("%v, %v", wanted, err)
		}
		for _, only := range []shelf.If{{Absent: true}, {Tag: "x"}} {
			if _, err := h.Put(ctx, shelf.Object{Bucket: "shop", Key: "a/k"}, strings.NewReader("x"), only); !errors.Is(err, shelf.ErrChanged) {
				t.Errorf("%+v: %v", only, err)
			}
		}
		if _, err := h.Put(ctx, shelf.Object{Bucket: "shop", Key: "large"}, strings.NewReader(strings.Repeat("x", 21<<20)), shelf.If{}); !errors.Is(err, fault.Limit) {
			t.Errorf("%v", err)
		}
		if err := h.DeleteBucket(ctx, "shop"); !errors.Is(err, fault.Conflict) {
			t.Errorf("%v", err)
		}
		if n, err := h.Delete(ctx, "shop", "ann", "a/k", "never"); err != nil || n != 1 {
			t.Errorf("%d, %v", n, err)
		}
		if wanted, err := h.Wanted(ctx, o.Digest); err != nil || wanted {
			t.Errorf("%v, %v", wanted, err)
		}
		must(t, h.DeleteBucket(ctx, "shop"))
		if got := h.told(); !slices.Equal(got, []string{"Object Created a/k", "Object Created a/k", "Object Deleted a/k"}) {
			t.Errorf("told: %v", got)
		}
	})
}

// All that is uploaded together is bounded; what builds made is not counted there, and goes when its time is over.
func TestBounds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		info, err := h.files.Put(ctx, strings.NewReader(strings.Repeat("m", 15<<20)), 20<<20)
		must(t, err)
		must(t, h.db.Write(ctx, func(tx *db.Tx) error {
			return h.Place(tx, shelf.Object{Bucket: "made", Key: "m", Digest: info.Digest, Size: info.Size, Expires: h.now.Add(time.Hour)})
		}))
		h.put("made", "1", strings.Repeat("1", 18<<20))
		h.put("made", "2", strings.Repeat("2", 18<<20))
		if _, err := h.Put(ctx, shelf.Object{Bucket: "made", Key: "3"}, strings.NewReader(strings.Repeat("3", 18<<20)), shelf.If{}); !errors.Is(err, fault.Limit) || !strings.Contains(err.Error(), "buckets.bytes") {
			t.Errorf("%v", err)
		}
		h.now = h.now.Add(2 * time.Hour)
		if _, err := h.Find(ctx, "made", "m"); !errors.Is(err, shelf.ErrNoKey) {
			t.Errorf("after its time: %v", err)
		}
		run, stop := context.WithTimeout(ctx, 300*time.Millisecond)
		defer stop()
		must(t, h.Run(run))
		if n, _, _, err := h.Size(ctx); err != nil || n != 2 {
			t.Errorf("%d objects, %v", n, err)
		}
		if got := h.told(); !slices.Contains(got, "Object Deleted m") {
			t.Errorf("told: %v", got)
		}
	})
}

// An upload in parts is one file, in the order of its parts, once it is completed; before that, and when it was given up, it is nothing.
func TestParts(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		must(t, h.CreateBucket(ctx, "shop", ""))
		u, err := h.Begin(ctx, shelf.Object{Bucket: "shop", Key: "big", Meta: map[string]string{"a": "1"}})
		must(t, err)
		texts := map[int]string{1: strings.Repeat("a", 5<<20), 2: strings.Repeat("b", 5<<20), 7: "c"}
		var want []shelf.Part
		for _, n := range []int{7, 2, 1} {
			p, err := h.PutPart(ctx, "shop", "big", u.ID, n, strings.NewReader(texts[n]))
			must(t, err)
			want = append(want, p)
			if wanted, err := h.Wanted(ctx, p.Digest); err != nil || !wanted {
				t.Errorf("%v, %v", wanted, err)
			}
		}
		if _, err := h.Complete(ctx, "shop", "big", u.ID, want, shelf.If{}); !errors.Is(err, fault.Invalid) {
			t.Errorf("in a wrong order: %v", err)
		}
		slices.Reverse(want)
		if _, err := h.Find(ctx, "shop", "big"); !errors.Is(err, shelf.ErrNoKey) {
			t.Errorf("before its end: %v", err)
		}
		o, err := h.Complete(ctx, "shop", "big", u.ID, want, shelf.If{})
		must(t, err)
		if o.Size != 10<<20+1 || !strings.HasSuffix(o.Tag(), "-3") || o.Meta["a"] != "1" {
			t.Errorf("%+v", o)
		}
		file, err := h.Open(ctx, o)
		must(t, err)
		defer file.Close()
		if text, err := io.ReadAll(file); err != nil || string(text) != texts[1]+texts[2]+texts[7] {
			t.Errorf("%d bytes, %v", len(text), err)
		}
		if _, err := h.PutPart(ctx, "shop", "big", u.ID, 1, strings.NewReader("x")); !errors.Is(err, shelf.ErrNoUpload) {
			t.Errorf("after its end: %v", err)
		}
		u, err = h.Begin(ctx, shelf.Object{Bucket: "shop", Key: "given up"})
		must(t, err)
		h.now = h.now.Add(25 * time.Hour)
		run, stop := context.WithTimeout(ctx, 300*time.Millisecond)
		defer stop()
		must(t, h.Run(run))
		if err := h.Abort(ctx, "shop", "given up", u.ID); !errors.Is(err, shelf.ErrNoUpload) {
			t.Errorf("a day later: %v", err)
		}
	})
}

// Whatever the names, prefix, delimiter and size of pages, pages give each name and each common prefix once, in order.
func TestLists(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), shelf.Schema())
	must(t, err)
	t.Cleanup(func() { d.Close() })
	h := open(t, d)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		bucket := fmt.Sprintf("bucket-%d", n)
		name := rapid.StringOfN(rapid.SampledFrom([]rune("ab/é\U0010FFFF\uD7FF\uE000")), 1, 5, -1)
		names := rapid.SliceOfNDistinct(name, 0, 25, rapid.ID).Draw(rt, "names")
		q := shelf.Query{Bucket: bucket, Most: rapid.IntRange(1, 5).Draw(rt, "most"),
			Prefix: rapid.StringOfN(rapid.SampledFrom([]rune("ab/\U0010FFFF\uD7FF")), 0, 3, -1).Draw(rt, "prefix"), Delimiter: rapid.SampledFrom([]string{"", "/", "b"}).Draw(rt, "delimiter")}
		if err := h.CreateBucket(t.Context(), bucket, ""); err != nil {
			rt.Fatal(err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			for _, name := range names {
				if err := h.Place(tx, shelf.Object{Bucket: bucket, Key: name}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			rt.Fatal(err)
		}
		var want []string
		slices.Sort(names)
		for _, name := range names {
			rest, ok := strings.CutPrefix(name, q.Prefix)
			if !ok {
				continue
			}
			if i := strings.Index(rest, q.Delimiter); q.Delimiter != "" && i >= 0 {
				name = q.Prefix + rest[:i+len(q.Delimiter)] + " ..."
			}
			if !slices.Contains(want, name) {
				want = append(want, name)
			}
		}
		var got []string
		for pages := 0; ; pages++ {
			l, err := h.List(t.Context(), q)
			if err != nil || pages > 100 || len(l.Objects)+len(l.Prefixes) > q.Most {
				rt.Fatalf("page %d of %d entries: %v", pages, len(l.Objects)+len(l.Prefixes), err)
			}
			var page []string
			for _, o := range l.Objects {
				page = append(page, o.Key)
			}
			for _, p := range l.Prefixes {
				page = append(page, p+" ...")
			}
			got = append(got, page...)
			if q.After = l.Next; q.After == "" {
				break
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			rt.Fatalf("%q by %q and %q in pages of %d: got %q, want %q", names, q.Prefix, q.Delimiter, q.Most, got, want)
		}
	})
}

// Whatever the text, a bucket or a key that is taken is one that can be kept and told.
func FuzzNames(f *testing.F) {
	f.Add("shop", "a/k")
	f.Add("192.168.0.1", "\x00")
	f.Fuzz(func(t *testing.T, bucket, key string) {
		if shelf.ValidBucket(bucket) && (len(bucket) < 3 || len(bucket) > 63 || strings.ContainsAny(bucket, "/_ ") || strings.Contains(bucket, "..")) {
			t.Errorf("%q is a bucket", bucket)
		}
		if shelf.ValidKey(key) && (key == "" || len(key) > 1024 || strings.ContainsAny(key, "\x00\n\r\t\x7f")) {
			t.Errorf("%q is a key", key)
		}
	})
}
