package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

const (
	groupBytes      = 16 << 20 // what is written before one fsync
	segmentRequests = 100_000  // a segment is full with so many, however small they are
	sweep           = time.Hour
)

// write is the one goroutine that writes. All that waits shares one fsync.
func (j *Journal) write() {
	defer close(j.stopped)
	tick := time.NewTicker(sweep)
	defer tick.Stop()
	for {
		select {
		case r := <-j.queue:
			j.commit(j.gather(r))
		case <-tick.C:
			j.tidy()
		case <-j.stop:
			j.drain()
			return
		}
	}
}

func (j *Journal) gather(first *request) []*request {
	group, bytes := []*request{first}, len(first.frame)
	for bytes < groupBytes {
		select {
		case r := <-j.queue:
			group, bytes = append(group, r), bytes+len(r.frame)
		default:
			return group
		}
	}
	return group
}

func (j *Journal) drain() {
	for {
		select {
		case r := <-j.queue:
			j.commit(j.gather(r))
		default:
			return
		}
	}
}

// commit writes a group of requests, syncs, and only then tells anybody.
func (j *Journal) commit(group []*request) {
	size, err := j.put(group)
	if err != nil {
		err = fault.Unavailable.Errorf("writing to the journal: %w", err)
		j.config.Log.Error("the journal cannot be written to", "error", err)
	}
	j.mu.Lock()
	for _, r := range group {
		delete(j.pending, r.header.request)
		if err == nil {
			j.seen.add(r.header.request)
			j.stats.Records += int64(r.header.count)
			j.stats.Requests++
		}
	}
	if err == nil {
		s := j.segments[len(j.segments)-1]
		s.size, s.last = s.size+size, j.config.Now()
		j.wake()
	}
	j.mu.Unlock()
	for _, r := range group {
		j.room.Release(int64(len(r.frame)))
		r.err = err
		close(r.done)
	}
}

// wake tells all who wait that there is more. The lock is held.
func (j *Journal) wake() {
	if !j.closed {
		close(j.news)
		j.news = make(chan struct{})
	}
}

// put writes and syncs frames behind the end of the active segment. After an error nothing of them is there.
func (j *Journal) put(group []*request) (size int64, err error) {
	now := j.config.Now()
	if err := j.ready(now); err != nil {
		return 0, err
	}
	s := j.segments[len(j.segments)-1] // only this goroutine changes it
	for _, r := range group {
		r.header.at, r.header.received = s.base+Position(s.size+size), now.UnixMilli()
		r.header.put(r.frame, s.salt)
		if _, err := j.active.WriteAt(r.frame, s.size+size); err != nil {
			return 0, errors.Join(err, j.cut())
		}
		size += int64(len(r.frame))
	}
	if err := j.active.Sync(); err != nil {
		j.failed = true // what the kernel has dropped it will not write later: go on in another file
		return 0, errors.Join(err, j.cut())
	}
	if len(j.requests) == 0 {
		j.started = now
	}
	for _, r := range group {
		j.requests = append(j.requests, stamped{r.header.request, r.header.received})
	}
	return size, nil
}

// cut takes away what is behind the end of the active segment; until that succeeds nothing is written to it.
func (j *Journal) cut() error {
	j.torn = true
	if err := j.active.Truncate(j.segments[len(j.segments)-1].size); err != nil {
		return err
	}
	j.torn = false
	return nil
}

// ready sees to it that there is an active segment to write to.
func (j *Journal) ready(now time.Time) error {
	if j.torn && j.cut() != nil {
		j.failed = true // a new segment's name says that the torn bytes do not count
	}
	s := j.segments[len(j.segments)-1]
	full := s.size >= j.config.SegmentBytes || len(j.requests) >= segmentRequests || j.old(now)
	if j.failed || full && s.size > 0 {
		return j.roll()
	}
	return nil
}

// old tells whether the active segment is so old that what is in it could not go in time.
func (j *Journal) old(now time.Time) bool {
	return len(j.requests) > 0 && now.Sub(j.started) > j.config.MaxAge/8
}

// roll begins a new segment.
func (j *Journal) roll() error {
	last := j.segments[len(j.segments)-1]
	s, f, err := j.begin(last.end())
	if err != nil {
		return err
	}
	// What is in the list of requests can be read from the segment too: no room for it is no reason to stop.
	if err := writeFile(requestsPath(last.path), encodeRequests(j.requests)); err != nil {
		j.config.Log.Warn("the list of a segment's requests was not written", "segment", last.path, "error", err)
	}
	if err := j.active.Close(); err != nil {
		j.config.Log.Warn("closing a segment", "segment", last.path, "error", err)
	}
	j.active, j.requests, j.torn, j.failed = f, nil, false, false
	j.mu.Lock()
	j.segments = append(j.segments, s)
	j.mu.Unlock()
	j.retire()
	return nil
}

// begin makes an empty segment whose name is on the disk.
func (j *Journal) begin(base Position) (*segment, file, error) {
	var salt [8]byte
	rand.Read(salt[:])
	s := &segment{base: base, salt: binary.LittleEndian.Uint64(salt[:]), last: j.config.Now()}
	s.path = filepath.Join(j.config.Dir, segmentName(base, s.salt))
	f, err := j.create(s.path)
	if err != nil {
		return nil, nil, err
	}
	if err := syncDir(j.config.Dir); err != nil {
		return nil, nil, errors.Join(err, f.Close(), os.Remove(s.path))
	}
	return s, f, nil
}

// tidy is what time alone makes necessary.
func (j *Journal) tidy() {
	if j.old(j.config.Now()) {
		if err := j.roll(); err != nil {
			j.config.Log.Warn("beginning a new segment", "error", err)
		}
		return
	}
	j.retire()
}

// retire removes the oldest segments that are too many or too old; never the active one.
func (j *Journal) retire() {
	now := j.config.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.segments) > 1 {
		s := j.segments[0]
		total := int64(j.segments[len(j.segments)-1].end() - s.base)
		if total <= j.config.MaxBytes && now.Sub(s.last) <= j.config.MaxAge {
			return
		}
		for _, path := range []string{requestsPath(s.path), s.path} {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				j.config.Log.Warn("removing what is too old for the journal", "file", path, "error", err)
				return
			}
		}
		j.config.Log.Info("an old segment of the journal went", "segment", filepath.Base(s.path), "bytes", s.size, "written", s.last)
		j.segments = j.segments[1:]
	}
}

// report logs and counts a gap, once.
func (j *Journal) report(g Gap) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, known := j.damage[g.From]; known || len(j.damage) >= 10_000 {
		return
	}
	j.damage[g.From] = struct{}{}
	j.stats.Gaps++
	j.stats.LostBytes += int64(g.To - g.From)
	j.config.Log.Error("a stretch of the journal cannot be read", "from", g.From, "to", g.To, "why", g.Why)
}
