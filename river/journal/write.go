package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
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

// recover finds the segments, cuts a torn tail and learns which requests are kept.
func (j *Journal) recover() error {
	dir := j.config.Dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	all, err := list(dir)
	if err != nil {
		return err
	}
	j.segments = all
	if len(all) == 0 {
		s, f, err := j.begin(0)
		if err != nil {
			return err
		}
		j.segments, j.active = []*segment{s}, f
		return nil
	}
	last := all[len(all)-1]
	if err := j.reopen(last); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(last.path), err)
	}
	if err := j.remember(all[:len(all)-1]); err != nil {
		return err
	}
	for _, r := range j.requests {
		j.seen.add(r.request)
	}
	j.retire()
	return nil
}

// reopen makes s the active segment.
func (j *Journal) reopen(s *segment) error {
	from, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer from.Close()
	requests, end, gaps, err := scan(from, s, s.size)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		j.report(g)
	}
	f, err := j.create(s.path)
	if err != nil {
		return err
	}
	if end < s.size {
		j.config.Log.Warn("a torn end of the journal was cut off", "segment", filepath.Base(s.path), "at", s.base+Position(end), "bytes", s.size-end)
		if err := errors.Join(f.Truncate(end), f.Sync()); err != nil {
			return errors.Join(err, f.Close())
		}
		s.size = end
	}
	j.active, j.requests = f, requests
	if len(requests) > 0 {
		j.started = time.UnixMilli(requests[0].received)
	}
	return nil
}

// remember reads which requests the newest of the full segments hold, as many as are kept in mind.
func (j *Journal) remember(full []*segment) error {
	room := j.config.MaxRequests - len(j.requests)
	var lists [][]stamped
	for i := len(full) - 1; i >= 0 && room > 0; i-- {
		requests, err := j.requestsOf(full[i])
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(full[i].path), err)
		}
		lists = append(lists, requests)
		room -= len(requests)
	}
	for i := len(lists) - 1; i >= 0; i-- {
		for _, r := range lists[i] {
			j.seen.add(r.request)
		}
	}
	return nil
}

func (j *Journal) requestsOf(s *segment) ([]stamped, error) {
	if b, err := os.ReadFile(requestsPath(s.path)); err == nil {
		if all, ok := decodeRequests(b); ok {
			return all, nil
		}
	}
	from, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	requests, _, gaps, err := scan(from, s, s.size)
	if err != nil {
		return nil, err
	}
	for _, g := range gaps {
		j.report(g)
	}
	if err := writeFile(requestsPath(s.path), encodeRequests(requests)); err != nil {
		j.config.Log.Warn("the list of a segment's requests was not written", "segment", s.path, "error", err)
	}
	return requests, nil
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

// writeFile writes a small file whole or not at all.
func writeFile(path string, text []byte) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return os.Rename(temp, path)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
