package work_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/work"
)

func (k *desk) all(stream string) string {
	k.t.Helper()
	var got strings.Builder
	for from := int64(0); ; {
		text, next, _, err := k.Read(k.t.Context(), stream, from)
		if err != nil {
			k.t.Fatal(err)
		}
		if len(text) == 0 {
			return got.String()
		}
		got.Write(text)
		from = next
	}
}

// A log holds what was written, from any offset on, in lines of bounded length, masked, up to its bound.
func TestLog(t *testing.T) {
	each(t, work.Config{MaxLog: 1_500_000}, func(k *desk) {
		k.add("a", "build")
		lease := k.take("build")
		l := k.Log(k.t.Context(), lease, "s", func(line string) string { return strings.ReplaceAll(line, "hush", "***") })
		var want strings.Builder
		for i := range 20_000 {
			line := fmt.Sprintf("line %d hush\n", i)
			want.WriteString(line)
			for part := line; part != ""; part = part[min(len(part), 5):] { // in odd pieces
				l.Printf("%s", part[:min(len(part), 5)])
			}
		}
		const maxLine = 16 << 10
		l.Printf("%s", strings.Repeat("x", 3*maxLine))
		if err := l.Close(); err != nil {
			k.t.Fatal(err)
		}
		got := k.all("s")
		if !strings.HasPrefix(got, strings.ReplaceAll(want.String(), "hush", "***")) || strings.Count(got, strings.Repeat("x", maxLine)+"\n") != 3 {
			k.t.Errorf("%d bytes, want %d and the long line in three", len(got), want.Len())
		}
		text, next, done, err := k.Read(k.t.Context(), "s", 170_001)
		if err != nil || done || !strings.HasPrefix(got[170_001:], string(text)) || next != 170_001+int64(len(text)) {
			k.t.Errorf("from the middle: %d bytes to %d, %v, %v", len(text), next, done, err)
		}
		if size, err := k.Size(k.t.Context(), "s"); err != nil || size != int64(len(got)) {
			k.t.Errorf("its size is %d, %v", size, err)
		}
		l = k.Log(k.t.Context(), lease, "s", nil)
		for range 1000 {
			l.Printf("%s\n", strings.Repeat("y", 4000))
		}
		if err := l.Close(); err != nil {
			k.t.Fatal(err)
		}
		if all := k.all("s"); len(all) > 1_500_200 || strings.Count(all, "the rest is not kept") != 1 {
			k.t.Errorf("%d bytes; it says that there is more: %d times", len(all), strings.Count(all, "the rest is not kept"))
		}
		k.pass(time.Hour)
		if err := k.Tidy(k.t.Context(), k.now); err != nil || k.all("s") != "" {
			k.t.Errorf("what is old is still there: %v", err)
		}
	})
}

// Who follows a log gets each line once, as it is written, and is told when no more comes; until it goes on.
func TestFollow(t *testing.T) {
	each(t, work.Config{Poll: 20 * time.Millisecond}, func(k *desk) {
		k.add("a", "build")
		lease := k.take("build")
		end := func() {
			if err := k.write(func(tx *db.Tx) error { return k.End(tx, "s") }); err != nil {
				k.t.Error(err)
			}
		}
		said := make(chan bool)
		go func() {
			l := k.Log(k.t.Context(), lease, "s", nil)
			for i := range 5 {
				l.Printf("line %d\n", i)
				<-said
			}
			_ = l.Close()
			end()
		}()
		var got strings.Builder
		err := k.Follow(k.t.Context(), "s", 0, func(text []byte, next int64) error {
			got.Write(text)
			if got.Len() != int(next) {
				k.t.Errorf("%d bytes, up to %d", got.Len(), next)
			}
			said <- true
			return nil
		})
		if want := "line 0\nline 1\nline 2\nline 3\nline 4\n"; err != nil || got.String() != want {
			k.t.Errorf("%q, %v; want %q", got.String(), err, want)
		}
		if err := k.Append(k.t.Context(), lease, "s", []byte("again\n")); err != nil {
			k.t.Fatal(err)
		}
		if _, _, done, err := k.Read(k.t.Context(), "s", 0); done || err != nil {
			k.t.Errorf("it goes on, and is over: %v", err)
		}
	})
}

// A million lines of log, against the same lines into a file.
func BenchmarkMillionLines(b *testing.B) {
	var lines bytes.Buffer
	for i := range 1_000_000 {
		fmt.Fprintf(&lines, "%07d ok  \tgithub.com/example/shop/internal/basket\t0.0%02ds\n", i, i%97)
	}
	write := func(b *testing.B, to io.Writer) {
		for part := lines.Bytes(); len(part) > 0; part = part[min(len(part), 32<<10):] {
			if _, err := to.Write(part[:min(len(part), 32<<10)]); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("file", func(b *testing.B) {
		for b.Loop() {
			f, err := os.Create(filepath.Join(b.TempDir(), "log"))
			if err != nil {
				b.Fatal(err)
			}
			write(b, f)
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("log", func(b *testing.B) {
		for b.Loop() {
			d, err := db.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "state.db"), work.Schema())
			if err != nil {
				b.Fatal(err)
			}
			w := work.New(work.Config{DB: d, Log: slog.New(slog.DiscardHandler)})
			if err := d.Write(b.Context(), func(tx *db.Tx) error { return w.Add(tx, work.Job{ID: "a", Kind: "k"}) }); err != nil {
				b.Fatal(err)
			}
			lease, _, err := w.Claim(context.Background(), "me", "k")
			if err != nil {
				b.Fatal(err)
			}
			l := w.Log(b.Context(), lease, "s", nil)
			write(b, l)
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			d.Close()
		}
	})
}
