package iam

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/qr"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/word/fault"
)

type (
	providerMade struct {
		OpenIDConnectProviderArn string
		Tags                     []tag `json:",omitzero"`
	}
	providerOut struct {
		URL            string `json:"Url"`
		ClientIDList   []string
		ThumbprintList []string
		CreateDate     *time.Time
		Tags           []tag
	}
	providerEntry struct{ Arn string }
	providersOut  struct{ OpenIDConnectProviderList []providerEntry }
)

func (s *service) providers() map[string]wire.Operation {
	target := func(_ *wire.Call, in *input) []string { return []string{in.OpenIDConnectProviderArn} }
	made := s.own("oidc-provider", func(in *input) string { return strings.TrimSuffix(strings.TrimPrefix(in.URL, "https://"), "/") }, func(*access.Directory, *input) string { return "" })
	edit := func(f func(*input, *access.Provider) error) wire.Operation {
		return does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.EditProvider(ctx, in.OpenIDConnectProviderArn, func(p *access.Provider) error { return f(in, p) })
		})
	}
	tag := func(ctx context.Context, _ *wire.Call, in *input) error {
		if err := in.twice(); err != nil {
			return err
		}
		return s.access.TagProvider(ctx, in.OpenIDConnectProviderArn, in.tags(), in.TagKeys)
	}
	return map[string]wire.Operation{
		"CreateOpenIDConnectProvider": on(made, func(ctx context.Context, c *wire.Call, in *input) (*providerMade, error) {
			if err := in.twice(); err != nil {
				return nil, err
			}
			if err := s.access.CreateProvider(ctx, in.URL, in.ClientIDList, in.ThumbprintList, in.tags(), ""); err != nil {
				return nil, err
			}
			return &providerMade{made(c, in)[0], tagsOf(in.tags())}, nil
		}),
		"GetOpenIDConnectProvider": on(target, func(ctx context.Context, _ *wire.Call, in *input) (*providerOut, error) {
			p, err := s.provider(ctx, in)
			if err != nil {
				return nil, err
			}
			return &providerOut{p.URL, append([]string{}, p.Clients...), append([]string{}, p.Thumbprints...), at(p.Created), tagsOf(p.Tags)}, nil
		}),
		"ListOpenIDConnectProviders": on(everything, func(ctx context.Context, _ *wire.Call, _ *input) (*providersOut, error) {
			d, err := s.access.Directory(ctx)
			if err != nil {
				return nil, err
			}
			out := &providersOut{[]providerEntry{}}
			for i := range d.Providers {
				out.OpenIDConnectProviderList = append(out.OpenIDConnectProviderList, providerEntry{d.ProviderARN(&d.Providers[i])})
			}
			return out, nil
		}),
		"AddClientIDToOpenIDConnectProvider": edit(func(in *input, p *access.Provider) error {
			if !slices.Contains(p.Clients, in.ClientID) {
				p.Clients = append(p.Clients, in.ClientID)
			}
			return nil
		}),
		"RemoveClientIDFromOpenIDConnectProvider": edit(func(in *input, p *access.Provider) error {
			p.Clients = slices.DeleteFunc(p.Clients, func(c string) bool { return c == in.ClientID })
			return nil
		}),
		"UpdateOpenIDConnectProviderThumbprint": edit(func(in *input, p *access.Provider) error {
			p.Thumbprints = in.ThumbprintList
			return nil
		}),
		"DeleteOpenIDConnectProvider": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.DeleteProvider(ctx, in.OpenIDConnectProviderArn)
		}),
		"TagOpenIDConnectProvider":   does(target, tag),
		"UntagOpenIDConnectProvider": does(target, tag),
		"ListOpenIDConnectProviderTags": on(target, func(ctx context.Context, _ *wire.Call, in *input) (*tagsOut, error) {
			p, err := s.provider(ctx, in)
			if err != nil {
				return nil, err
			}
			return tagPage(in, p.Tags)
		}),
	}
}

func (s *service) provider(ctx context.Context, in *input) (*access.Provider, error) {
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, err
	}
	return d.Provider(in.OpenIDConnectProviderArn)
}

type (
	deviceOut struct {
		SerialNumber     string
		Base32StringSeed []byte     `json:",omitzero"`
		QRCodePNG        []byte     `json:",omitzero"`
		User             *userOut   `json:",omitzero"`
		EnableDate       *time.Time `json:",omitzero"`
		Tags             []tag      `json:",omitzero"`
	}
	oneDevice  struct{ VirtualMFADevice deviceOut }
	devicesOut struct {
		VirtualMFADevices []deviceOut
		more
	}
	factorOut struct {
		UserName, SerialNumber string
		EnableDate             *time.Time
	}
	factorsOut struct {
		MFADevices []factorOut
		more
	}
)

func (s *service) devices() map[string]wire.Operation {
	target := s.own("mfa", func(in *input) string { return in.VirtualMFADeviceName }, func(_ *access.Directory, in *input) string { return in.SerialNumber })
	owner := s.of(userOwner)
	tag := func(ctx context.Context, _ *wire.Call, in *input) error {
		if err := in.twice(); err != nil {
			return err
		}
		return s.access.TagDevice(ctx, in.SerialNumber, in.tags(), in.TagKeys)
	}
	return map[string]wire.Operation{
		"CreateVirtualMFADevice": on(target, func(ctx context.Context, _ *wire.Call, in *input) (*oneDevice, error) {
			if err := in.twice(); err != nil {
				return nil, err
			}
			seed, err := s.access.CreateDevice(ctx, in.VirtualMFADeviceName, in.Path, in.tags())
			if err != nil {
				return nil, err
			}
			code, err := qr.Encode(seed.URL.Reveal())
			if err != nil {
				return nil, err
			}
			picture, err := code.PNG()
			return &oneDevice{deviceOut{SerialNumber: seed.Serial, Base32StringSeed: []byte(seed.Base32.Reveal()), QRCodePNG: picture}}, err
		}),
		"EnableMFADevice": does(owner, func(ctx context.Context, _ *wire.Call, in *input) error {
			_, err := s.access.EnableDevice(ctx, in.UserName, in.SerialNumber, in.AuthenticationCode1, in.AuthenticationCode2)
			return err
		}),
		"ResyncMFADevice": does(owner, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.ResyncDevice(ctx, in.UserName, in.SerialNumber, in.AuthenticationCode1, in.AuthenticationCode2)
		}),
		"DeactivateMFADevice": does(owner, func(ctx context.Context, c *wire.Call, in *input) error {
			return s.access.DisableDevice(ctx, user(c, in), in.SerialNumber)
		}),
		"DeleteVirtualMFADevice": does(target, func(ctx context.Context, _ *wire.Call, in *input) error {
			return s.access.DeleteDevice(ctx, in.SerialNumber)
		}),
		"ListMFADevices":        on(owner, s.listFactors),
		"ListVirtualMFADevices": on(everything, s.listDevices),
		"TagMFADevice":          does(target, tag),
		"UntagMFADevice":        does(target, tag),
		"ListMFADeviceTags": on(target, func(ctx context.Context, _ *wire.Call, in *input) (*tagsOut, error) {
			d, err := s.access.Directory(ctx)
			if err != nil {
				return nil, err
			}
			m, err := d.Device(in.SerialNumber)
			if err != nil {
				return nil, err
			}
			return tagPage(in, m.Tags)
		}),
	}
}

func (s *service) listFactors(ctx context.Context, c *wire.Call, in *input) (*factorsOut, error) {
	u, err := s.seen(ctx, c, in)
	if err != nil {
		return nil, err
	}
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, err
	}
	var all []factorOut
	for i := range d.Devices {
		if m := &d.Devices[i]; m.User == u.Name {
			all = append(all, factorOut{u.Name, d.DeviceARN(m), at(m.Enabled)})
		}
	}
	part, m, err := page(in, all, func(f *factorOut) string { return f.SerialNumber })
	return &factorsOut{part, m}, err
}

func (s *service) listDevices(ctx context.Context, _ *wire.Call, in *input) (*devicesOut, error) {
	d, err := s.access.Directory(ctx)
	if err != nil {
		return nil, err
	}
	var all []deviceOut
	for i := range d.Devices {
		m := &d.Devices[i]
		if in.AssignmentStatus == "Assigned" && m.User == "" || in.AssignmentStatus == "Unassigned" && m.User != "" {
			continue
		}
		out := deviceOut{SerialNumber: d.DeviceARN(m), EnableDate: at(m.Enabled)}
		if u, err := d.User(m.User); err == nil {
			whose := outUser(u, false)
			out.User = &whose
		} else if fault.Of(err) != fault.NotFound {
			return nil, err
		}
		all = append(all, out)
	}
	part, m, err := page(in, all, func(o *deviceOut) string { return o.SerialNumber })
	return &devicesOut{part, m}, err
}
