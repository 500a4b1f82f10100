package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// recover finds the segments, cuts a torn tail and learns which requests are kept.
func (j *Journal) recover() error {
	dir := j.config.Dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
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
