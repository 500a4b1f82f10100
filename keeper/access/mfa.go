package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/word/fault"
)

const (
	step       = 30 // seconds that a code is good for
	mostDevice = 8  // devices of one user
	recoveries = 10
)

func deviceKey(m *Device) string { return m.Path + m.Name }

func seedRow(m *Device) seal.Row {
	return seal.Row{Table: "access_things", ID: deviceKey(m), Column: "seed"}
}

// totp is the code of a time step: RFC 6238 with SHA-1 and six digits, which is what every app has.
func totp(seed []byte, at int64) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(at))
	h := hmac.New(sha1.New, seed)
	h.Write(counter[:])
	sum := h.Sum(nil)
	o := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[o:])&0x7fffffff)%1_000_000)
}

// accept is the time step of a code that is right now, give or take one, and
// later than the last that was taken: a code that was seen is no good any more.
func accept(seed []byte, code string, now time.Time, last int64) (at int64, ok bool) {
	current := now.Unix() / step
	for at := current - 1; at <= current+1; at++ {
		if subtle.ConstantTimeCompare([]byte(totp(seed, at)), []byte(code)) == 1 && at > last {
			return at, true
		}
	}
	return 0, false
}

// Seed is what an app is told once: as text, and as an address that it reads from a QR code.
type Seed struct {
	Serial string
	Base32 seal.Secret
	URL    seal.Secret // otpauth://…
}

// CreateDevice makes a virtual MFA device, which counts once it is enabled.
func (a *Access) CreateDevice(ctx context.Context, name, path string, tags map[string]string) (s Seed, err error) {
	if err := named(aDevice, name, &path); err != nil {
		return s, err
	}
	if tags, err = tagged(nil, tags, nil); err != nil {
		return s, err
	}
	var seed [20]byte // as long as the hash, which RFC 4226 wants
	rand.Read(seed[:])
	m := Device{Name: name, Path: path, Created: a.now(), Tags: tags}
	if m.Seed, err = a.config.Sealer.Seal(seedRow(&m), seal.Secret(seed[:])); err != nil {
		return s, err
	}
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed[:])
	label := "Haechi:" + name + "@" + a.config.Account
	s = Seed{a.ownARN("mfa" + path + name), seal.Secret(text), seal.Secret("otpauth://totp/" + url.PathEscape(label) + "?secret=" + text + "&issuer=Haechi")}
	return s, a.change(ctx, func(tx *db.Tx) error { return create(tx, aDevice, deviceKey(&m), m) })
}

// serial is the key of a device by its serial number.
func (a *Access) serial(text string) string {
	rest, ok := strings.CutPrefix(text, a.ownARN("mfa/"))
	if !ok {
		return text
	}
	return "/" + rest
}

func findDevice(tx *db.Tx, key, serial string) (Device, error) {
	m, err := find[Device](tx, aDevice, key)
	if fault.Of(err) == fault.NotFound {
		err = missing(aDevice, serial)
	}
	return m, err
}

// ErrCode is of a second factor that is wrong, or was used before.
var ErrCode = fault.Denied.Errorf("the code is wrong, or was used before")

// EnableDevice gives a device to a user, who shows two codes in a row from it.
// The codes that it answers stand in for the device, each once; they are told this once.
func (a *Access) EnableDevice(ctx context.Context, user, serial, code1, code2 string) (recovery []seal.Secret, err error) {
	return recovery, a.change(ctx, func(tx *db.Tx) error {
		if err := userIn(tx, user); err != nil {
			return err
		}
		m, err := findDevice(tx, a.serial(serial), serial)
		if err != nil {
			return err
		}
		if m.User != "" {
			return fault.Exists.Errorf("MFA Device is already in use.")
		}
		have, err := devicesOf(tx, user)
		if err != nil {
			return err
		}
		if len(have) >= mostDevice {
			return quota("MFADevicesPerUser", mostDevice)
		}
		if err := a.two(&m, code1, code2); err != nil {
			return err
		}
		m.User, m.Enabled = user, a.now()
		if err := keep(tx, aDevice, deviceKey(&m), m); err != nil {
			return err
		}
		return editUser(tx, user, func(d *userDoc) error {
			recovery, d.Recovery = nil, nil
			for range recoveries {
				code := newPassword()
				recovery, d.Recovery = append(recovery, code), append(d.Recovery, hash(code.Reveal()))
			}
			return nil
		})
	})
}

// two wants two codes in a row, the second no later than it can be.
func (a *Access) two(m *Device, code1, code2 string) error {
	seed, err := a.config.Sealer.Open(seedRow(m), m.Seed)
	if err != nil {
		return err
	}
	now := a.config.Now().Unix() / step
	for at := now - 20; at <= now+1; at++ { // a person takes a while to type
		first := subtle.ConstantTimeCompare([]byte(totp([]byte(seed.Reveal()), at)), []byte(code1))
		second := subtle.ConstantTimeCompare([]byte(totp([]byte(seed.Reveal()), at+1)), []byte(code2))
		if first&second == 1 {
			m.Step = at + 1
			return nil
		}
	}
	return ErrCode
}

// ResyncDevice takes two codes in a row of a device whose clock had run away.
func (a *Access) ResyncDevice(ctx context.Context, user, serial, code1, code2 string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		m, err := findDevice(tx, a.serial(serial), serial)
		if err != nil {
			return err
		}
		if m.User != user {
			return missing(aDevice, serial)
		}
		if err := a.two(&m, code1, code2); err != nil {
			return err
		}
		return keep(tx, aDevice, deviceKey(&m), m)
	})
}

// DisableDevice takes a device from a user.
func (a *Access) DisableDevice(ctx context.Context, user, serial string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		if err := userIn(tx, user); err != nil {
			return err
		}
		m, err := findDevice(tx, a.serial(serial), serial)
		if err != nil {
			return err
		}
		if m.User != user {
			return missing(aDevice, serial)
		}
		m.User, m.Enabled = "", time.Time{}
		if err := keep(tx, aDevice, deviceKey(&m), m); err != nil {
			return err
		}
		left, err := devicesOf(tx, user)
		if err != nil || len(left) > 0 {
			return err
		}
		return editUser(tx, user, func(d *userDoc) error { d.Recovery = nil; return nil })
	})
}

// DeleteDevice removes a device that is nobody's.
func (a *Access) DeleteDevice(ctx context.Context, serial string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		m, err := findDevice(tx, a.serial(serial), serial)
		switch {
		case err != nil:
			return err
		case m.User != "":
			return fault.Conflict.Errorf("MFA VirtualDevice in use. Must deactivate first.")
		}
		return remove(tx, aDevice, deviceKey(&m))
	})
}

// TagDevice sets and drops tags of a device.
func (a *Access) TagDevice(ctx context.Context, serial string, set map[string]string, drop []string) error {
	return a.change(ctx, func(tx *db.Tx) error {
		m, err := findDevice(tx, a.serial(serial), serial)
		if err != nil {
			return err
		}
		if m.Tags, err = tagged(m.Tags, set, drop); err != nil {
			return err
		}
		return keep(tx, aDevice, deviceKey(&m), m)
	})
}

func devicesOf(tx *db.Tx, user string) (all []Device, err error) {
	devices, err := list[Device](tx, aDevice)
	for _, m := range devices {
		if m.User == user && user != "" {
			all = append(all, m)
		}
	}
	return all, err
}

func editDevices(tx *db.Tx, user string, f func(*Device)) error {
	devices, err := devicesOf(tx, user)
	for _, m := range devices {
		if err := edit(tx, aDevice, deviceKey(&m), func(m *Device) error { f(m); return nil }); err != nil {
			return err
		}
	}
	return err
}

// secondFactor is second on its own. Wrong codes count as wrong passwords do.
func (a *Access) secondFactor(ctx context.Context, user, serial, code string) error {
	if err := a.locked(ctx, user); err != nil {
		return err
	}
	err := a.config.DB.Write(ctx, func(tx *db.Tx) error {
		if err := a.second(tx, user, serial, code); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE access_users SET failures = 0, locked_until = 0 WHERE name = ?", user)
		return err
	})
	if errors.Is(err, ErrCode) {
		return errors.Join(err, a.wrong(ctx, user, false))
	}
	return err
}

// second takes a code of one of a user's devices, or one that stands in for
// them, within tx: a code is good once, however many are sent at a time.
func (a *Access) second(tx *db.Tx, user, serial, code string) error {
	devices, err := devicesOf(tx, user)
	if err != nil {
		return err
	}
	code = strings.TrimSpace(code)
	for _, m := range devices {
		if serial != "" && a.serial(serial) != deviceKey(&m) {
			continue
		}
		seed, err := a.config.Sealer.Open(seedRow(&m), m.Seed)
		if err != nil {
			return err
		}
		if at, ok := accept([]byte(seed.Reveal()), code, a.config.Now(), m.Step); ok {
			m.Step = at
			return keep(tx, aDevice, deviceKey(&m), m)
		}
	}
	if serial != "" || len(devices) == 0 {
		return ErrCode
	}
	return editUser(tx, user, func(d *userDoc) error {
		i := slices.Index(d.Recovery, hash(strings.ToLower(code)))
		if i < 0 {
			return ErrCode
		}
		d.Recovery = slices.Delete(d.Recovery, i, i+1)
		return nil
	})
}
