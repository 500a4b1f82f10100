package reports

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Ask is what somebody says of reports: what was looked at, and by what if the report is not to say.
type Ask struct {
	Target string `json:"target"`
	Branch string `json:"branch,omitzero"`
	Commit string `json:"commit,omitzero"`
	Tool   string `json:"tool,omitzero"`
	Scan   string `json:"scan,omitzero"` // the scan's ID; "" makes one up

	VEX bool `json:"vex,omitzero"` // what it says of other tools' findings counts: whoever brings it may suppress them
	Own bool `json:"own,omitzero"` // what its tool suppresses itself is suppressed
}

// Upload is reports that lie here until whoever brought them has seen what they would do.
type Upload struct {
	ID    string
	Ask   Ask
	By    string // ARN of who brought it: nobody else sees it
	Names []string
	At    time.Time
}

// Limits of an upload: how large it may be, how many reports it may hold, how long it lies here, and how many do.
const (
	MaxUpload   = 256 << 20
	maxFiles    = 20
	uploadLasts = time.Hour
	maxUploads  = 50
)

// Stage takes reports in, without reading them; next gives one after the other, and io.EOF after the last.
func (d *Door) Stage(by string, next func() (name string, r io.Reader, err error)) (u Upload, err error) {
	if err := d.sweep(); err != nil {
		return u, err
	}
	u = Upload{ID: bus.ID(), By: by, At: d.Now().UTC()}
	folder := d.uploadFolder(u.ID)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return u, fmt.Errorf("making room for reports: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(folder) // an hour later it goes anyway
		}
	}()
	for {
		name, r, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return u, uploadError(err)
		}
		if len(u.Names) == maxFiles {
			return u, fault.Limit.Errorf("at most %d reports come at once", maxFiles)
		}
		if err := copyTo(filepath.Join(folder, strconv.Itoa(len(u.Names))), r); err != nil {
			return u, err
		}
		u.Names = append(u.Names, finding.Shorten(name, 200))
	}
	if len(u.Names) == 0 {
		return u, fault.Invalid.Errorf("no report is chosen")
	}
	return u, nil
}

// Describe says of staged reports what was looked at; before that nobody finds them.
func (d *Door) Describe(u Upload, a Ask) error {
	if err := a.check(); err != nil {
		return errors.Join(err, os.RemoveAll(d.uploadFolder(u.ID)))
	}
	u.Ask = a
	text, err := json.Marshal(u)
	if err != nil {
		return fault.Invalid.Errorf("what is said of the report is no text: %w", err)
	}
	if err := os.WriteFile(filepath.Join(d.uploadFolder(u.ID), "said.json"), text, 0o600); err != nil {
		return fmt.Errorf("keeping reports: %w", err)
	}
	return nil
}

func (a *Ask) check() error {
	if strings.TrimSpace(a.Target) == "" {
		return fault.Invalid.Errorf("target is required: what the tool looked at, such as the name of the repository")
	}
	return nil
}

func copyTo(name string, r io.Reader) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making room for a report: %w", err)
	}
	_, err = io.Copy(file, r)
	return uploadError(errors.Join(err, file.Close()))
}

// uploadError says what was wrong with what came in.
func uploadError(err error) error {
	if err == nil || fault.Of(err) != fault.Internal {
		return err
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fault.Limit.Errorf("an upload has at most %d MB: haechi import takes more", MaxUpload>>20)
	}
	return fault.Invalid.Errorf("the upload did not come to its end: %w", err)
}

func (d *Door) uploadFolder(id string) string {
	folder := d.Folder
	if folder == "" {
		folder = os.TempDir()
	}
	return filepath.Join(folder, "uploads", id)
}

var uploadID = regexp.MustCompile(`^[0-9a-f-]{36}$`)

// Staged is an upload of by's; fault.NotFound where there is none, or it lay here for too long.
func (d *Door) Staged(id, by string) (u Upload, err error) {
	gone := fault.NotFound.Errorf("these reports do not lie here any more: bring them again")
	if !uploadID.MatchString(id) {
		return u, gone
	}
	text, err := os.ReadFile(filepath.Join(d.uploadFolder(id), "said.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return u, gone
	}
	if err != nil {
		return u, fmt.Errorf("looking for reports: %w", err)
	}
	if err := json.Unmarshal(text, &u); err != nil {
		return u, fmt.Errorf("an upload's description: %w", err)
	}
	if u.By != by || d.Now().Sub(u.At) > uploadLasts {
		return u, gone
	}
	return u, nil
}

// Drop throws an upload away.
func (d *Door) Drop(u Upload) error { return os.RemoveAll(d.uploadFolder(u.ID)) }

// TakeStaged imports the nth report of an upload, or tells what would come of that.
func (d *Door) TakeStaged(ctx context.Context, u Upload, n int, preview bool) (*Answer, error) {
	file, err := os.Open(filepath.Join(d.uploadFolder(u.ID), strconv.Itoa(n)))
	if err != nil {
		return nil, fmt.Errorf("looking for a report: %w", err)
	}
	defer file.Close()
	return d.TakeFile(ctx, u.Ask, file, preview)
}

// TakeFile imports a report, or tells what would come of that.
func (d *Door) TakeFile(ctx context.Context, a Ask, file *os.File, preview bool) (*Answer, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	if err := d.room.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer d.room.Release(1)
	h := sha256.New()
	size, err := io.Copy(h, file)
	if err != nil {
		return nil, fmt.Errorf("reading a report: %w", err)
	}
	asked := ask{scan: finding.Scan{ID: a.Scan, Target: a.Target, Branch: a.Branch, Commit: a.Commit}, options: report.Options{Tool: a.Tool, Salt: secret.SaltOf(d.Salt, a.Target)}, preview: preview, vex: a.VEX, own: a.Own}
	asked.scan.Digest = d.digest(asked, hex.EncodeToString(h.Sum(nil)))
	return d.take(ctx, asked, file, size)
}

// sweep throws away what has lain here for too long, and the oldest where there is too much.
func (d *Door) sweep() error {
	entries, err := os.ReadDir(filepath.Dir(d.uploadFolder("x")))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking after uploads: %w", err)
	}
	left, oldest, oldestAt := 0, "", time.Time{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // somebody else was faster
		}
		if time.Since(info.ModTime()) > uploadLasts { // the disk's time
			if err := os.RemoveAll(d.uploadFolder(e.Name())); err != nil {
				return fmt.Errorf("throwing an old upload away: %w", err)
			}
			continue
		}
		left++
		if oldest == "" || info.ModTime().Before(oldestAt) {
			oldest, oldestAt = e.Name(), info.ModTime()
		}
	}
	if left >= maxUploads {
		return os.RemoveAll(d.uploadFolder(oldest))
	}
	return nil
}
