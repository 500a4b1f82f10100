package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/record"
)

func lines(texts ...string) []record.Record {
	var all []record.Record
	for i, s := range texts {
		all = append(all, record.Record{Time: time.Unix(int64(i), 5).UTC(), Source: "text", Text: s})
	}
	return all
}

func texts(all []record.Record) []string {
	var s []string
	for _, r := range all {
		s = append(s, r.Text)
	}
	return s
}

func mustOpen(t testing.TB, c Config) *Journal {
	t.Helper()
	j, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func mustAppend(t testing.TB, j *Journal, id string, texts ...string) {
	t.Helper()
	if err := j.Append(t.Context(), id, lines(texts...)...); err != nil {
		t.Fatalf("%s: %v", id, err)
	}
}

// all reads a journal from one position to its end.
func all(t testing.TB, j *Journal, from Position) (records []record.Record, gaps []Gap) {
	t.Helper()
	for {
		b, err := j.Read(context.Background(), from, 10)
		if err != nil {
			t.Fatal(err)
		}
		records, gaps = append(records, b.Records...), append(gaps, b.Gaps...)
		if b.Next == from {
			return records, gaps
		}
		from = b.Next
	}
}

// Records come out as they went in, in order, also after a restart.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, Config{Dir: dir, SegmentBytes: 2000})
	var want []record.Record
	for i := range 100 {
		r := record.Record{
			Time: time.Date(1+i*97, 1, 2, 3, 4, 5, i, time.UTC), Source: "aws.cloudtrail",
			Text: strings.Repeat(fmt.Sprintf("line %d ü\x00", i), i), Fields: map[string]string{"host": fmt.Sprint(i), "": "x"},
		}
		if i%3 == 0 {
			r.Fields = nil
		}
		want = append(want, r)
		if err := j.Append(t.Context(), fmt.Sprint(i), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, round := range []string{"live", "again"} {
		got, gaps := all(t, j, Oldest)
		if diff := cmp.Diff(want, got); diff != "" || gaps != nil {
			t.Fatalf("%s: gaps %v\n%s", round, gaps, diff)
		}
		if s := j.Stats(); s.Segments < 3 {
			t.Errorf("%d segments", s.Segments)
		}
		j.Close()
		j = mustOpen(t, Config{Dir: dir, SegmentBytes: 2000})
	}
}

// A request id is kept once, at once and after a restart, also when many send it at the same time.
func TestRequestOnce(t *testing.T) {
	dir := t.TempDir()
	c := Config{Dir: dir, SegmentBytes: 300}
	j := mustOpen(t, c)
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() { mustAppend(t, j, fmt.Sprint(i%10), fmt.Sprint(i%10)) })
	}
	wait.Wait()
	for i := 10; i < 20; i++ { // each in a segment of its own
		mustAppend(t, j, fmt.Sprint(i), strings.Repeat(fmt.Sprint(i), 250))
	}
	check := func() {
		t.Helper()
		for i := range 20 {
			mustAppend(t, j, fmt.Sprint(i), "again")
		}
		got, _ := all(t, j, Oldest)
		if len(got) != 20 || strings.Contains(strings.Join(texts(got), " "), "again") {
			t.Fatalf("kept %q", texts(got))
		}
	}
	check()
	j.Close()
	j = mustOpen(t, c)
	check()
	j.Close()
	lists, _ := filepath.Glob(filepath.Join(dir, "*.requests"))
	if len(lists) == 0 {
		t.Fatal("no lists of requests")
	}
	for i, l := range lists { // without its lists the journal reads the segments
		if i%2 == 0 {
			os.Remove(l)
		} else {
			os.WriteFile(l, []byte("rubbish"), 0o600)
		}
	}
	j = mustOpen(t, c)
	check()
}

// What has no request id is kept each time, and takes no room in memory.
func TestNoRequestID(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, Config{Dir: dir, SegmentBytes: 300})
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() { mustAppend(t, j, "", "x") })
	}
	wait.Wait()
	j.Close()
	j = mustOpen(t, Config{Dir: dir, SegmentBytes: 300})
	mustAppend(t, j, "", "x")
	if got, _ := all(t, j, Oldest); len(got) != 21 || len(j.seen.ids) != 0 {
		t.Errorf("%d records, %d ids", len(got), len(j.seen.ids))
	}
}

// No more request ids are remembered than asked, and the newest are.
func TestWindow(t *testing.T) {
	dir := t.TempDir()
	c := Config{Dir: dir, SegmentBytes: 500, MaxRequests: 20}
	j := mustOpen(t, c)
	for i := range 50 {
		mustAppend(t, j, fmt.Sprint(i), "x")
	}
	for range 2 {
		if n := len(j.seen.ids); n != 20 {
			t.Errorf("%d ids in mind", n)
		}
		for i := 30; i < 50; i++ {
			mustAppend(t, j, fmt.Sprint(i), "again")
		}
		if got, _ := all(t, j, Oldest); len(got) != 50 {
			t.Errorf("%d records", len(got))
		}
		j.Close()
		j = mustOpen(t, c)
	}
	mustAppend(t, j, "0", "forgotten, so kept again")
	if got, _ := all(t, j, Oldest); len(got) != 51 {
		t.Errorf("%d records", len(got))
	}
}

// However a file is cut, what was whole before the cut is there, and what comes after goes on well.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, Config{Dir: dir})
	var ends []int64
	for i := range 4 {
		mustAppend(t, j, fmt.Sprint(i), strings.Repeat(fmt.Sprint(i), 40))
		ends = append(ends, int64(j.End()))
	}
	path := j.segments[0].path
	j.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		torn := t.TempDir()
		tail := make([]byte, (n%3)*700) // a power cut may leave zeroes behind
		text := append(whole[:n:n], tail...)
		os.WriteFile(filepath.Join(torn, filepath.Base(path)), text, 0o600)
		var log strings.Builder
		j, err := Open(Config{Dir: torn, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for _, end := range ends {
			if bytes.HasPrefix(text, whole[:end]) { // zeroes may be what was missing
				kept++
			}
		}
		mustAppend(t, j, "new", "new")
		got, gaps := all(t, j, Oldest)
		if len(got) != kept+1 || gaps != nil {
			t.Fatalf("cut at %d: %d records, want %d; gaps %v", n, len(got), kept+1, gaps)
		}
		cut := kept == 0 && len(text) > 0 || kept > 0 && int64(len(text)) > ends[kept-1]
		if cut != strings.Contains(log.String(), "torn") {
			t.Fatalf("cut at %d: log %q", n, log.String())
		}
		j.Close()
	}
}

// Damage costs the frames it lies in and no others, and is told and counted.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, Config{Dir: dir})
	var ends []int64
	for i := range 4 {
		mustAppend(t, j, fmt.Sprint(i), strings.Repeat(fmt.Sprint(i), 50*i+1))
		ends = append(ends, int64(j.End()))
	}
	path := j.segments[0].path
	j.Close()
	whole, _ := os.ReadFile(path)
	for at := range ends[2] { // what is behind is a torn tail
		hit := 0
		for int64(at) >= ends[hit] {
			hit++
		}
		bad := append([]byte{}, whole...)
		bad[at] ^= 0x40
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, filepath.Base(path)), bad, 0o600)
		j, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		got, gaps := all(t, j, Oldest)
		start := int64(0)
		if hit > 0 {
			start = ends[hit-1]
		}
		want := []Gap{{From: Position(start), To: Position(ends[hit])}}
		if len(gaps) == 1 {
			want[0].Why = gaps[0].Why
		}
		if diff := cmp.Diff(want, gaps); diff != "" || len(got) != 3 {
			t.Fatalf("flipped %d: %d records\n%s", at, len(got), diff)
		}
		if s := j.Stats(); s.Gaps != 1 || s.LostBytes != ends[hit]-start {
			t.Fatalf("flipped %d: %+v", at, s)
		}
		j.Close()
	}
}

// A file that somebody took away is told of, and the others are read.
func TestMissingFile(t *testing.T) {
	j := mustOpen(t, Config{Dir: t.TempDir(), SegmentBytes: 10})
	for i := range 3 {
		mustAppend(t, j, fmt.Sprint(i), fmt.Sprint(i))
	}
	os.Remove(j.segments[1].path)
	got, gaps := all(t, j, Oldest)
	if diff := cmp.Diff([]string{"0", "2"}, texts(got)); diff != "" || len(gaps) != 1 || j.Stats().Gaps != 1 {
		t.Errorf("%s%v", diff, gaps)
	}
}

// A log line that is a copy of a frame is never taken for one.
func TestForgedFrame(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, Config{Dir: dir})
	h, frame, err := encode(lines("forged"))
	if err != nil {
		t.Fatal(err)
	}
	h.at = headerSize + 8 // where it will come to lie
	h.put(frame, 0)
	mustAppend(t, j, "evil", string(frame))
	mustAppend(t, j, "good", "good")
	path := j.segments[0].path
	j.Close()
	b, _ := os.ReadFile(path)
	b[0] = 0
	os.WriteFile(path, b, 0o600)
	j = mustOpen(t, Config{Dir: dir})
	got, gaps := all(t, j, Oldest)
	if diff := cmp.Diff([]string{"good"}, texts(got)); diff != "" || len(gaps) != 1 {
		t.Errorf("%s%v", diff, gaps)
	}
}

// disk is a file layer with so many bytes free, and a switch that makes fsync fail.
type disk struct {
	mu      sync.Mutex
	free    int64
	badSync bool
	synced  map[string]int64 // how much of each file would survive a power cut
}

type diskFile struct {
	*os.File
	disk *disk
	size int64
}

func (d *disk) create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	return &diskFile{f, d, info.Size()}, err
}

func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := len(b)
	if grow := off + int64(n) - f.size; grow > f.disk.free {
		n = max(0, n-int(grow-f.disk.free))
	}
	n, err := f.File.WriteAt(b[:n], off)
	if end := off + int64(n); end > f.size {
		f.disk.free -= end - f.size
		f.size = end
	}
	if err == nil && n < len(b) {
		err = syscall.ENOSPC
	}
	return n, err
}

func (f *diskFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.free += f.size - size
	f.size = size
	return f.File.Truncate(size)
}

func (f *diskFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.badSync {
		return syscall.EIO
	}
	if f.disk.synced != nil {
		f.disk.synced[f.Name()] = f.size
	}
	return f.File.Sync()
}

// After a power cut, when only what was synced is left, all that was acknowledged is there.
func TestPowerCut(t *testing.T) {
	dir, d := t.TempDir(), &disk{free: 1 << 30, synced: map[string]int64{}}
	j, err := open(Config{Dir: dir, SegmentBytes: 1000}, d.create)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	acked := map[string]bool{}
	stop := make(chan struct{})
	var wait sync.WaitGroup
	for a := range 4 {
		wait.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprint(a, " ", i)
				mustAppend(t, j, id, id)
				mu.Lock()
				acked[id] = true
				mu.Unlock()
			}
		})
	}
	for range 8 {
		time.Sleep(time.Millisecond)
		mu.Lock()
		var must []string
		for id := range acked {
			must = append(must, id)
		}
		mu.Unlock()
		after := t.TempDir()
		d.mu.Lock()
		for path, size := range d.synced {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			os.WriteFile(filepath.Join(after, filepath.Base(path)), text[:size], 0o600)
		}
		d.mu.Unlock()
		again := mustOpen(t, Config{Dir: after})
		got, gaps := all(t, again, Oldest)
		kept := map[string]int{}
		for _, r := range got {
			kept[r.Text]++
		}
		for _, id := range must {
			if kept[id] != 1 {
				t.Fatalf("%s was acknowledged and is there %d times; gaps %v", id, kept[id], gaps)
			}
		}
		again.Close()
	}
	close(stop)
	wait.Wait()
	j.Close()
}

// On a full disk nothing is acknowledged and nothing half-kept; when there is room again, the same request is taken.
func TestFullDisk(t *testing.T) {
	dir, d := t.TempDir(), &disk{free: 1000}
	j, err := open(Config{Dir: dir}, d.create)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	refused := ""
	for i := 0; refused == ""; i++ {
		id := fmt.Sprint("request ", i)
		switch err := j.Append(t.Context(), id, lines(id)...); {
		case err == nil:
			kept = append(kept, id)
		case errors.Is(err, fault.Unavailable) && errors.Is(err, syscall.ENOSPC):
			refused = id
		default:
			t.Fatal(err)
		}
	}
	if info, _ := os.Stat(j.segments[0].path); info.Size() != int64(j.End()) {
		t.Errorf("%d bytes on the disk, %d in the journal", info.Size(), j.End())
	}
	if got, _ := all(t, j, Oldest); cmp.Diff(kept, texts(got)) != "" {
		t.Errorf("kept %q, want %q", texts(got), kept)
	}
	d.mu.Lock()
	d.free = 1 << 20
	d.mu.Unlock()
	mustAppend(t, j, refused, refused)
	kept = append(kept, refused)
	j.Close()
	j = mustOpen(t, Config{Dir: dir})
	if got, gaps := all(t, j, Oldest); cmp.Diff(kept, texts(got)) != "" || gaps != nil {
		t.Errorf("kept %q, want %q; gaps %v", texts(got), kept, gaps)
	}
}

// After a failed fsync nothing was kept, and the journal goes on in another file.
func TestFailedSync(t *testing.T) {
	dir, d := t.TempDir(), &disk{free: 1 << 20}
	j, err := open(Config{Dir: dir}, d.create)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, "a", "a")
	d.badSync = true
	if err := j.Append(t.Context(), "b", lines("b")...); !errors.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	d.badSync = false
	mustAppend(t, j, "b", "b")
	if s := j.Stats(); s.Segments != 2 {
		t.Errorf("%d segments", s.Segments)
	}
	j.Close()
	j = mustOpen(t, Config{Dir: dir})
	if got, gaps := all(t, j, Oldest); cmp.Diff([]string{"a", "b"}, texts(got)) != "" || gaps != nil {
		t.Errorf("kept %q; gaps %v", texts(got), gaps)
	}
}

// The oldest files go by size and by age; who has not read them is told.
func TestRetention(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	j := mustOpen(t, Config{Dir: t.TempDir(), SegmentBytes: 1000, MaxBytes: 5000, MaxAge: 8 * time.Hour, Now: clock})
	mustAppend(t, j, "first", "first")
	first := j.End()
	for i := range 200 {
		mustAppend(t, j, fmt.Sprint(i), "x")
	}
	s := j.Stats()
	if s.Bytes > 6100 || s.Begin <= first {
		t.Errorf("%+v", s)
	}
	if files, _ := os.ReadDir(j.config.Dir); len(files) > 2*s.Segments {
		t.Errorf("%d files for %d segments", len(files), s.Segments)
	}
	got, gaps := all(t, j, first)
	if len(gaps) != 1 || gaps[0].From != first || gaps[0].To != s.Begin || len(got) == 0 {
		t.Errorf("%d records, gaps %v", len(got), gaps)
	}
	if _, gaps := all(t, j, Oldest); gaps != nil {
		t.Errorf("a new reader is told of %v", gaps)
	}
	mu.Lock()
	now = now.Add(24 * time.Hour)
	mu.Unlock()
	mustAppend(t, j, "new", "new")
	if got, _ := all(t, j, Oldest); len(got) != 1 {
		t.Errorf("after a day: %d records", len(got))
	}
	// A position of another journal does not hold a reader up for ever.
	if _, gaps := all(t, j, j.End()+1e6); len(gaps) != 1 {
		t.Errorf("behind the end: %v", gaps)
	}
}

// A follower gets all, in order, while it comes in, goes on where it stopped, and ends with the journal.
func TestFollow(t *testing.T) {
	j := mustOpen(t, Config{Dir: t.TempDir(), SegmentBytes: 3000})
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := range 300 {
			mustAppend(t, j, fmt.Sprint(i), fmt.Sprint(i))
		}
	})
	var got []string
	var at Position
	enough := errors.New("enough")
	for n := 50; n <= 300; n += 50 {
		err := j.Follow(t.Context(), "test", at, func(_ context.Context, b Batch) error {
			got, at = append(got, texts(b.Records)...), b.Next
			if len(got) >= n {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
	}
	wait.Wait()
	for i, s := range got {
		if s != fmt.Sprint(i) {
			t.Fatalf("record %d is %s", i, s)
		}
	}
	done := make(chan error)
	go func() {
		done <- j.Follow(context.Background(), "late", j.End(), func(context.Context, Batch) error { return nil })
	}()
	j.Close()
	if err := <-done; !errors.Is(err, fault.Unavailable) {
		t.Errorf("after the end: %v", err)
	}
	if err := j.Append(t.Context(), "late", lines("x")...); !errors.Is(err, fault.Unavailable) {
		t.Errorf("append after the end: %v", err)
	}
}

// What is too large is refused, and what follows is not harmed.
func TestTooLarge(t *testing.T) {
	j := mustOpen(t, Config{Dir: t.TempDir()})
	big := strings.Repeat("x", MaxRequest/2)
	if err := j.Append(t.Context(), "big", lines(big, big)...); !errors.Is(err, fault.Limit) {
		t.Errorf("got %v", err)
	}
	mustAppend(t, j, "big", "small")
}

// Any records survive the frame's encoding.
func TestEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one := rapid.Custom(func(t *rapid.T) record.Record {
			r := record.Record{
				Time:   time.Unix(rapid.Int64Range(-1e11, 1e11).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC(),
				Source: rapid.String().Draw(t, "source"), Text: rapid.String().Draw(t, "text"),
			}
			if m := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "fields"); len(m) > 0 {
				r.Fields = m
			}
			return r
		})
		want := rapid.SliceOfN(one, 1, 20).Draw(t, "records")
		h, frame, err := encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(nil, h, frame[headerSize:])
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatal(err, diff)
		}
	})
}

// Whatever a file holds, reading ends, goes forward and gives nothing that fails its checks.
func FuzzSegment(f *testing.F) {
	s := &segment{base: 1000, salt: 42}
	var whole []byte
	for _, text := range []string{"a", strings.Repeat("long ", 100)} {
		h, frame, err := encode(lines(text, text))
		if err != nil {
			f.Fatal(err)
		}
		h.at = s.base + Position(len(whole))
		h.put(frame, s.salt)
		whole = append(whole, frame...)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(append([]byte("rubbish"), whole...))
	f.Fuzz(func(t *testing.T, text []byte) {
		from := strings.NewReader(string(text))
		requests, end, _, err := scan(from, s, int64(len(text)))
		if err != nil || end > int64(len(text)) || (end == 0) != (len(requests) == 0) {
			t.Fatalf("%d requests, end %d, %v", len(requests), end, err)
		}
		r := reader{from: from, salt: s.salt, base: s.base, end: int64(len(text))}
		for off := int64(0); off < r.end; {
			h, payload, start, _, err := r.next(off)
			if err != nil || start < off {
				t.Fatalf("from %d to %d: %v", off, start, err)
			}
			if start == r.end {
				break
			}
			decode(nil, h, payload)
			off = start + h.size()
		}
	})
}

// Whatever a payload holds, decoding it ends without harm.
func FuzzPayload(f *testing.F) {
	h, frame, err := encode(lines("a", strings.Repeat("b", 1000)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame[headerSize:], h.flags, h.raw, h.count)
	f.Fuzz(func(t *testing.T, payload []byte, flags, raw, count uint32) {
		h := header{flags: flags & deflated, stored: uint32(len(payload)), raw: raw % (1 << 20), count: count}
		decode(nil, h, payload)
	})
}

func BenchmarkRead(b *testing.B) {
	j := mustOpen(b, Config{Dir: b.TempDir()})
	var batch []record.Record
	for i := range 1000 {
		batch = append(batch, record.Record{Source: "aws.cloudtrail", Text: strings.Repeat(fmt.Sprintf(`"key%d":"value %d",`, i%17, i), 50)})
	}
	for i := range 20 {
		if err := j.Append(b.Context(), fmt.Sprint(i), batch...); err != nil {
			b.Fatal(err)
		}
	}
	size := 0
	for _, r := range batch {
		size += 20 * len(r.Text)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		if got, _ := all(b, j, Oldest); len(got) != 20_000 {
			b.Fatal(len(got))
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	one := `{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/r%d/s"},"eventTime":"2026-01-01T00:%02d:00Z","eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances","sourceIPAddress":"198.51.100.%d","requestParameters":{"instancesSet":{"items":[{"instanceId":"i-%016x"}]}},"eventID":"%032x"}`
	var batch []record.Record
	size := 0
	for i := 0; size < 1<<20; i++ {
		text := fmt.Sprintf(one, i%7, i%60, i%250, i*7919, i*104729)
		batch = append(batch, record.Record{Time: time.Unix(int64(i), 0), Source: "aws.cloudtrail", Text: text})
		size += len(text)
	}
	for _, c := range []struct {
		name      string
		appenders int
		records   []record.Record
	}{{"one", 1, batch}, {"eight", 8, batch}, {"small-256", 256, batch[:10]}} {
		b.Run(c.name, func(b *testing.B) {
			j := mustOpen(b, Config{Dir: b.TempDir(), MaxBytes: 1 << 30})
			size := int64(0)
			for _, r := range c.records {
				size += int64(len(r.Text))
			}
			b.SetBytes(size)
			work := make(chan int, c.appenders)
			var wait sync.WaitGroup
			for range c.appenders {
				wait.Go(func() {
					for i := range work {
						if err := j.Append(context.Background(), fmt.Sprint(i), c.records...); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ResetTimer()
			for i := range b.N {
				work <- i
			}
			close(work)
			wait.Wait()
			b.StopTimer()
			s := j.Stats()
			b.ReportMetric(float64(s.End)/float64(s.Requests), "diskB/op")
		})
	}
}
