package iam_test

import (
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/door/wire/wiretest"
)

// A script of boto3's makes, reads, changes and removes what Terraform would,
// twice: what is read is what was set, documents come back as values, lists
// page, and errors are the classes that the model has.
func TestBoto3(t *testing.T) {
	h := serve(t)
	out, problems, err := h.Python(t, `
c = client('iam')
doc = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 'securityhub:Get*', 'Resource': '*', 'Condition': {'StringLike': {'aws:PrincipalTag/team': 'blue & "green" 100%+1'}}}]}
trust = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': 'arn:aws:iam::111122223333:root'}, 'Action': 'sts:AssumeRole'}]}
def raised(call, **kw):
    try: call(**kw); return 'nothing'
    except Exception as e: return type(e).__name__ + ' ' + str(e.response['ResponseMetadata']['HTTPStatusCode'])
ids = []
for i in range(2):
    r = c.create_role(RoleName='ci', Path='/ci/', AssumeRolePolicyDocument=json.dumps(trust), Description='d', MaxSessionDuration=7200, Tags=[{'Key': 'k', 'Value': 'v'}])['Role']
    g = c.get_role(RoleName='ci')['Role']
    assert g['AssumeRolePolicyDocument'] == trust and g['Tags'] == [{'Key': 'k', 'Value': 'v'}] and g['MaxSessionDuration'] == 7200 and g['Description'] == 'd'
    assert {k: g[k] for k in ('RoleId', 'Arn', 'Path', 'CreateDate')} == {k: r[k] for k in ('RoleId', 'Arn', 'Path', 'CreateDate')}
    ids.append(r['RoleId'])
    p = c.create_policy(PolicyName='p', PolicyDocument=json.dumps(doc, indent=2), Description='why')['Policy']
    v = c.get_policy_version(PolicyArn=p['Arn'], VersionId='v1')['PolicyVersion']
    assert v['Document'] == doc and v['IsDefaultVersion'], v
    c.attach_role_policy(RoleName='ci', PolicyArn=p['Arn']); c.attach_role_policy(RoleName='ci', PolicyArn=p['Arn'])
    c.put_role_policy(RoleName='ci', PolicyName='own', PolicyDocument=json.dumps(doc))
    assert c.get_role_policy(RoleName='ci', PolicyName='own')['PolicyDocument'] == doc
    assert [a['PolicyArn'] for a in c.list_attached_role_policies(RoleName='ci')['AttachedPolicies']] == [p['Arn']]
    assert c.get_policy(PolicyArn=p['Arn'])['Policy']['AttachmentCount'] == 1
    print(raised(c.delete_policy, PolicyArn=p['Arn']), raised(c.delete_role, RoleName='ci'), raised(c.create_role, RoleName='ci', AssumeRolePolicyDocument=json.dumps(trust)))
    c.detach_role_policy(RoleName='ci', PolicyArn=p['Arn']); c.delete_role_policy(RoleName='ci', PolicyName='own')
    c.delete_policy(PolicyArn=p['Arn']); c.delete_role(RoleName='ci')
    print(raised(c.delete_policy, PolicyArn=p['Arn']), raised(c.delete_role, RoleName='ci'), raised(c.get_role, RoleName='ci'))
assert ids[0] != ids[1]
for i in range(5): c.create_user(UserName='u%d' % i)
names = [u['UserName'] for page in c.get_paginator('list_users').paginate(PaginationConfig={'PageSize': 2}) for u in page['Users']]
assert names == ['tester', 'u0', 'u1', 'u2', 'u3', 'u4'], names
d = [u['UserName'] for page in c.get_paginator('get_account_authorization_details').paginate(PaginationConfig={'PageSize': 3}) for u in page['UserDetailList']]
assert d == names, d
k = c.create_access_key(UserName='u0')['AccessKey']
print(raised(c.put_user_policy, UserName='u0', PolicyName='x', PolicyDocument='{"Statement": []'), k['Status'])
report = c.get_credential_report()['Content'].decode().splitlines()
assert report[0].startswith('user,arn,') and len(report) == 7 and len({len(l.split(',')) for l in report}) == 1, report
m = c.create_virtual_mfa_device(VirtualMFADeviceName='u0')['VirtualMFADevice']
assert len(m['Base32StringSeed']) == 32 and m['QRCodePNG'][:4] == b'\x89PNG'
print(raised(c.enable_mfa_device, UserName='u0', SerialNumber=m['SerialNumber'], AuthenticationCode1='000000', AuthenticationCode2='000000'))
`)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, problems)
	}
	const life = "DeleteConflictException 409 DeleteConflictException 409 EntityAlreadyExistsException 409\nNoSuchEntityException 404 NoSuchEntityException 404 NoSuchEntityException 404\n"
	if want := life + life + "MalformedPolicyDocumentException 400 Active\nInvalidAuthenticationCodeException 403\n"; out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

// The aws commands, the newest and the oldest, read the answers.
func TestCommands(t *testing.T) {
	h := serve(t)
	for _, aws := range wiretest.Clients(t) {
		for _, c := range []struct{ arguments, want string }{
			{"iam create-group --group-name g", `"GroupName": "g"`},
			{"iam delete-group --group-name g", ""},
			{"iam get-account-summary", `"Users": 1`},
			{"iam list-policies --scope AWS --max-items 1", `"PolicyName": "AdministratorAccess"`},
			{"iam get-user --user-name nobody", "(NoSuchEntity)"},
		} {
			out, problems, err := aws.Run(t, h.Server, append(strings.Fields(c.arguments), "--output", "json")...)
			if !strings.Contains(out+problems, c.want) || (err != nil) != strings.HasPrefix(c.want, "(") {
				t.Errorf("%s %s: %v %s %s", aws.Path, c.arguments, err, out, problems)
			}
		}
	}
}
