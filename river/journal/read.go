package journal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/record"
)

// A Batch is what lies between two positions. Whoever keeps Next goes on there.
type Batch struct {
	From, Next Position
	Records    []record.Record
	Gaps       []Gap // what was there and cannot be read
}

const (
	batchRecords = 1000
	batchBytes   = 4 << 20
)

// Read answers with what comes at from, about max records: requests are not torn
// apart, so it may be more. At the end it answers with an empty batch.
func (j *Journal) Read(ctx context.Context, from Position, max int) (Batch, error) {
	b := Batch{From: from, Next: from}
	for bytes := int64(0); len(b.Records) < max && bytes < batchBytes; {
		if err := ctx.Err(); err != nil {
			return b, err
		}
		s, ok := j.at(&b)
		if !ok {
			break
		}
		n, err := j.readSegment(s, &b, max, batchBytes-bytes)
		if errors.Is(err, fs.ErrNotExist) {
			j.missing(&b, s)
			continue
		}
		if err != nil {
			return b, fault.Unavailable.Errorf("reading the journal at %d: %w", b.Next, err)
		}
		bytes += n
	}
	return b, nil
}

// at is the segment that holds b.Next, as it is now; ok is false at the end. Where
// segments are gone it moves b.Next on, and says so.
func (j *Journal) at(b *Batch) (s segment, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		if b.Next >= s.end() {
			continue
		}
		if b.Next < s.base {
			if b.Next != Oldest {
				b.Gaps = append(b.Gaps, Gap{From: b.Next, To: s.base, Why: "it was removed: older or more than the journal keeps"})
			}
			b.Next = s.base
		}
		return *s, true
	}
	if end := j.segments[len(j.segments)-1].end(); b.Next > end {
		b.Gaps = append(b.Gaps, Gap{From: end, To: b.Next, Why: "the position is behind the journal's end: is this another journal?"})
		b.Next = end
	}
	return s, false
}

// missing steps over a segment whose file is not there, unless it was removed while we looked: then at tells of it.
func (j *Journal) missing(b *Batch, s segment) {
	j.mu.Lock()
	listed := slices.ContainsFunc(j.segments, func(x *segment) bool { return x.path == s.path })
	j.mu.Unlock()
	if listed {
		j.skip(b, Gap{From: b.Next, To: s.end(), Why: "its file is gone"})
		b.Next = s.end()
	}
}

func (j *Journal) readSegment(s segment, b *Batch, max int, most int64) (bytes int64, err error) {
	f, err := os.Open(s.path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r := reader{from: f, salt: s.salt, base: s.base, end: s.size}
	for off := int64(b.Next - s.base); off < s.size && len(b.Records) < max && bytes < most; {
		h, payload, start, damage, err := r.next(off)
		if err != nil {
			return bytes, err
		}
		if damage != "" {
			j.skip(b, Gap{From: s.base + Position(off), To: s.base + Position(start), Why: damage})
		}
		if start < s.size {
			records, err := decode(b.Records, h, payload)
			if err != nil {
				j.skip(b, Gap{From: s.base + Position(start), To: s.base + Position(start+h.size()), Why: err.Error()})
			}
			b.Records = records
			start += h.size()
			bytes += int64(h.raw)
		}
		off = start
		b.Next = s.base + Position(off)
	}
	return bytes, nil
}

func (j *Journal) skip(b *Batch, g Gap) {
	b.Gaps = append(b.Gaps, g)
	j.report(g)
}

// Follow hands batch after batch to handle, in order, from a position on, and waits
// for more at the end, until ctx or the journal ends or handle answers with an
// error, which it returns. Whoever wants to go on there after a restart keeps the
// batch's Next, best together with what came of the batch. The name is shown in Stats.
func (j *Journal) Follow(ctx context.Context, name string, from Position, handle func(context.Context, Batch) error) error {
	j.place(name, from)
	for {
		news, closed := j.waiting() // before looking, so that nothing slips by
		b, err := j.Read(ctx, from, batchRecords)
		if err != nil {
			return err
		}
		if b.Next != from {
			if err := handle(ctx, b); err != nil {
				return err
			}
			from = b.Next
			j.place(name, from)
			continue
		}
		if closed {
			return errClosed
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (j *Journal) waiting() (news <-chan struct{}, closed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.news, j.closed
}

func (j *Journal) place(name string, at Position) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.followers[name] = at
}

// End is the position behind all that is kept now.
func (j *Journal) End() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segments[len(j.segments)-1].end()
}

// Stats is how a journal does. Counts are since it was opened.
type Stats struct {
	Segments   int
	Bytes      int64     // on the disk
	Begin, End Position  // what is kept
	Oldest     time.Time // when the oldest segment was written last
	Records    int64     // appended
	Requests   int64
	Duplicates int64            // requests that were kept already
	Gaps       int64            // stretches that cannot be read
	LostBytes  int64            // in them
	Behind     map[string]int64 // bytes that a follower has before it
	MaxBytes   int64            // what is kept at most
	MaxAge     time.Duration
}

// Stats tells how the journal does.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	first, last := j.segments[0], j.segments[len(j.segments)-1]
	s.Segments, s.Begin, s.End, s.Oldest = len(j.segments), first.base, last.end(), first.last
	s.MaxBytes, s.MaxAge = j.config.MaxBytes, j.config.MaxAge
	s.Behind = map[string]int64{}
	for _, g := range j.segments {
		s.Bytes += g.size
	}
	for name, at := range j.followers {
		s.Behind[name] = int64(last.end() - max(at, first.base))
	}
	return s
}
