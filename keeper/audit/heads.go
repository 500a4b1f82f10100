package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// HeadsFile is where a node notes, outside the database, how far every chain
// had come. It belongs to no backup: what comes back from one is older than it.
const HeadsFile = "audit.heads"

// A Head is how far a node's chain had come: its newest block. Noted elsewhere,
// it tells later whether the end was cut off, or an older state put in its place.
type Head struct {
	Node string
	Seq  int64
	MAC  string
}

// Heads are the newest blocks of all chains.
func (t *Trail) Heads(ctx context.Context) (all []Head, err error) {
	err = t.config.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, func(scan db.Scan) (h Head, err error) { return h, scan(&h.Node, &h.Seq, &h.MAC) }, "SELECT node, seq, mac FROM audit_heads ORDER BY node")
		return err
	})
	return all, err
}

// ReadHeads are the heads noted in a folder; none where there is no file.
func ReadHeads(folder string) ([]Head, error) {
	if folder == "" {
		return nil, nil
	}
	name := filepath.Join(folder, HeadsFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading how far the audit trail had come: %w", err)
	}
	return ParseHeads(name, text)
}

// ParseHeads reads lines of NODE SEQ MAC; empty ones and those that begin with # do not count.
func ParseHeads(name string, text []byte) (all []Head, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		f := strings.Fields(lines.Text())
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		h := Head{Node: f[0]}
		if len(f) == 3 {
			h.Seq, err = strconv.ParseInt(f[1], 10, 64)
			h.MAC = f[2]
		}
		if len(f) != 3 || err != nil || h.Seq < 1 {
			return nil, fault.Invalid.Errorf("%s:%d: want a node, a number and a signature, as haechi audit heads prints them", name, n)
		}
		all = append(all, h)
	}
	if err := lines.Err(); err != nil {
		return nil, fault.Invalid.Errorf("reading %s: %w", name, err)
	}
	return all, nil
}

// String is the line that ParseHeads reads.
func (h Head) String() string { return fmt.Sprintf("%s %d %s", h.Node, h.Seq, h.MAC) }

// note writes the heads to the folder, if they moved.
func (t *Trail) note(ctx context.Context, noted string) (string, error) {
	if t.config.Folder == "" {
		return "", nil
	}
	heads, err := t.Heads(ctx)
	if err != nil {
		return noted, err
	}
	var b strings.Builder
	for _, h := range heads {
		b.WriteString(h.String() + "\n")
	}
	text := b.String()
	if text == noted {
		return noted, nil
	}
	return text, replace(filepath.Join(t.config.Folder, HeadsFile), []byte(text))
}

// replace writes a file so that after a crash it holds either what it held or text.
func replace(name string, text []byte) error {
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
