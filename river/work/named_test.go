package work_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// Streams are found by their names, in order, a page at a time, with the times of what was logged.
func TestNamed(t *testing.T) {
	each(t, work.Config{}, func(k *desk) {
		began := k.now
		for i, name := range []string{"two", "one", "three", "silent"} {
			id := fmt.Sprint("s", i)
			if err := k.db.Write(k.t.Context(), func(tx *db.Tx) error { return k.Name(tx, id, "/shop", name) }); err != nil {
				k.t.Fatal(err)
			}
			if name == "silent" {
				continue
			}
			k.add(id, "build")
			lease := k.take("build")
			k.pass(time.Second)
			if err := k.Append(k.t.Context(), lease, id, []byte("first of "+name+"\n")); err != nil {
				k.t.Fatal(err)
			}
			k.pass(-time.Minute) // another node's clock: what comes after is not older
			if err := k.Append(k.t.Context(), lease, id, []byte("second\n")); err != nil {
				k.t.Fatal(err)
			}
			k.pass(time.Minute)
		}
		groups, err := k.Groups(k.t.Context())
		if err != nil || len(groups) != 1 || groups[0].Name != "/shop" || groups[0].Streams != 4 || !groups[0].Made.Equal(began) {
			k.t.Fatalf("%+v, %v", groups, err)
		}
		paged := func(q work.StreamQuery) (got string) {
			q.Group, q.Limit = "/shop", 2
			for {
				page, err := k.Streams(k.t.Context(), q)
				if err != nil {
					k.t.Fatal(err)
				}
				for _, s := range page {
					got += s.Name + " "
				}
				if len(page) < q.Limit {
					return got
				}
				q.After = &page[len(page)-1]
			}
		}
		for want, q := range map[string]work.StreamQuery{
			"one silent three two ": {}, "two three silent one ": {Descending: true}, "three two ": {Prefix: "t"},
			"silent two one three ": {ByTime: true}, "three one two silent ": {ByTime: true, Descending: true},
		} {
			if got := paged(q); got != want {
				k.t.Errorf("%+v: %s, want %s", q, got, want)
			}
		}
		s, err := k.Stream(k.t.Context(), "/shop", "one")
		if err != nil || !s.First.Equal(began.Add(2*time.Second+2*time.Millisecond)) || !s.Last.Equal(s.First) || s.Size == 0 {
			k.t.Errorf("%+v, %v", s, err)
		}
		if _, err := k.Stream(k.t.Context(), "/shop", "four"); fault.Of(err) != fault.NotFound {
			k.t.Error(err)
		}
		// A stream without names is not found by having none.
		k.add("unnamed", "build")
		if err := k.Append(k.t.Context(), k.take("build"), "unnamed", []byte("x\n")); err != nil {
			k.t.Fatal(err)
		}
		if all, err := k.Streams(k.t.Context(), work.StreamQuery{Limit: 9}); len(all) > 0 || err != nil {
			k.t.Errorf("%+v, %v", all, err)
		}
		if all, err := k.Marks(k.t.Context(), work.MarkQuery{Limit: 9}); len(all) > 0 || err != nil {
			k.t.Errorf("%+v, %v", all, err)
		}
		if _, err := k.Stream(k.t.Context(), "", ""); fault.Of(err) != fault.NotFound {
			k.t.Error(err)
		}

		told := func(q work.MarkQuery) (got string) {
			if q.Stream == "" && q.Groups == nil {
				q.Group = "/shop"
			}
			q.Limit = 4
			for {
				marks, err := k.Marks(k.t.Context(), q)
				if err != nil {
					k.t.Fatal(err)
				}
				for i, m := range marks {
					if i == q.Limit-1 {
						q.From = &m
						break
					}
					text, err := k.Piece(k.t.Context(), m)
					if err != nil {
						k.t.Fatal(err)
					}
					got += strings.ReplaceAll(string(text), "\n", ", ")
				}
				if len(marks) < q.Limit {
					return got
				}
			}
		}
		from := work.Mark{Stream: s.ID, At: s.First, Start: 1}
		for _, c := range []struct {
			q    work.MarkQuery
			want string
		}{
			{work.MarkQuery{}, "first of two, second, first of one, second, first of three, second, "},
			{work.MarkQuery{Descending: true}, "second, first of three, second, first of one, second, first of two, "},
			{work.MarkQuery{Names: []string{"one", "four"}}, "first of one, second, "},
			{work.MarkQuery{Stream: s.ID}, "first of one, second, "},
			{work.MarkQuery{Groups: []string{"/none", "/shop"}, Prefix: "t"}, "first of two, second, first of three, second, "},
			{work.MarkQuery{Prefix: "t"}, "first of two, second, first of three, second, "},
			{work.MarkQuery{From: &from}, "second, first of three, second, "},
			{work.MarkQuery{Descending: true, From: &from}, "first of one, second, first of two, "},
			{work.MarkQuery{Since: s.Last.Add(time.Microsecond)}, "first of three, second, "},
			{work.MarkQuery{Until: s.First.Add(-time.Microsecond)}, "first of two, second, "},
		} {
			if got := told(c.q); got != c.want {
				k.t.Errorf("%+v:\n got %s\nwant %s", c.q, got, c.want)
			}
		}
	})
}

// Answers are kept for a day.
func TestAnswers(t *testing.T) {
	each(t, work.Config{}, func(k *desk) {
		text := strings.Repeat("answer ", 1000)
		if err := k.KeepAnswer(k.t.Context(), "a", []byte(text)); err != nil {
			k.t.Fatal(err)
		}
		if got, err := k.Answer(k.t.Context(), "a"); err != nil || string(got) != text {
			k.t.Errorf("%d bytes, %v", len(got), err)
		}
		k.pass(25 * time.Hour)
		for range 2 {
			if _, err := k.Answer(k.t.Context(), "a"); fault.Of(err) != fault.NotFound {
				k.t.Error(err)
			}
			if err := k.KeepAnswer(k.t.Context(), fmt.Sprint("b", k.now), nil); err != nil {
				k.t.Fatal(err)
			}
			k.pass(time.Second)
		}
	})
}

// A piece ends where a line does, so that each can be read alone.
func TestPiecesAreWholeLines(t *testing.T) {
	each(t, work.Config{}, func(k *desk) {
		k.add("a", "build")
		lease := k.take("build")
		line := strings.Repeat("x", 999) + "\n"
		text := strings.Repeat(line, 2000)
		if err := k.Append(k.t.Context(), lease, "s", []byte(text)); err != nil {
			k.t.Fatal(err)
		}
		marks, err := k.Marks(k.t.Context(), work.MarkQuery{Stream: "s", Limit: 100})
		if err != nil || len(marks) < 3 {
			k.t.Fatalf("%d pieces, %v", len(marks), err)
		}
		got := 0
		for _, m := range marks {
			piece, err := k.Piece(k.t.Context(), m)
			if err != nil || len(piece)%len(line) != 0 {
				k.t.Errorf("%+v: %d bytes, %v", m, len(piece), err)
			}
			got += len(piece)
		}
		if got != len(text) {
			k.t.Errorf("%d bytes, want %d", got, len(text))
		}
	})
}
