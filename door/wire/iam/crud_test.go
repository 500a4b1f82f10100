package iam_test

import (
	"testing"

	"github.com/haechi-dev/haechi/door/wire/wiretest"
)

const (
	readText = `{"Version":"2012-10-17","Statement":[{"Sid":"R","Effect":"Allow","Action":"securityhub:GetFindings","Resource":"*"}]}`
	trustAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole"}]}`
	readARN  = "arn:aws:iam::111122223333:policy/team/read"
)

// A user as Terraform makes, reads, changes and removes it; what is gone is
// gone, what is there is there already, and what has something is not removed.
func TestUserLife(t *testing.T) {
	serve(t).script(t, []step{
		{"GetUser UserName=kim", "NoSuchEntity", nil},
		{"CreateUser UserName=kim Path=/team/ Tags.member.1.Key=Owner Tags.member.1.Value=blue~team", "200", []string{"<Path>/team/</Path>", "arn:aws:iam::111122223333:user/team/kim", "<UserId>AIDA", "<Key>Owner</Key><Value>blue team</Value>"}},
		{"CreateUser UserName=kim", "EntityAlreadyExists", nil},
		{"CreateUser UserName=KIM", "EntityAlreadyExists", nil},
		{"GetUser UserName=kim", "200", []string{"<Value>blue team</Value>", "user/team/kim"}},
		{"TagUser UserName=kim Tags.member.1.Key=Cost Tags.member.1.Value=7", "200", nil},
		{"TagUser UserName=kim Tags.member.1.Key=cost Tags.member.1.Value=8", "InvalidInput", []string{"case insensitive"}},
		{"UntagUser UserName=kim TagKeys.member.1=Owner", "200", nil},
		{"ListUserTags UserName=kim", "200", []string{"<Key>Cost</Key>", "!Owner"}},
		{"CreatePolicy PolicyName=read Path=/team/ PolicyDocument=" + readText, "200", []string{"<Arn>" + readARN + "</Arn>", "<DefaultVersionId>v1<"}},
		{"AttachUserPolicy UserName=kim PolicyArn=" + readARN, "200", nil},
		{"AttachUserPolicy UserName=kim PolicyArn=" + readARN, "200", nil},
		{"AttachUserPolicy UserName=kim PolicyArn=arn:aws:iam::111122223333:policy/none", "NoSuchEntity", nil},
		{"ListAttachedUserPolicies UserName=kim", "200", []string{"<PolicyName>read</PolicyName><PolicyArn>" + readARN}},
		{"PutUserPolicy UserName=kim PolicyName=own PolicyDocument=" + readText, "200", nil},
		{"PutUserPolicy UserName=kim PolicyName=bad PolicyDocument={}", "MalformedPolicyDocument", []string{"bad:1:"}},
		{"GetUserPolicy UserName=kim PolicyName=own", "200", []string{"<PolicyDocument>%7B%22Version%22"}},
		{"GetUserPolicy UserName=kim PolicyName=bad", "NoSuchEntity", nil},
		{"ListUserPolicies UserName=kim", "200", []string{"<member>own</member>"}},
		{"PutUserPermissionsBoundary UserName=kim PermissionsBoundary=" + readARN, "200", nil},
		{"GetUser UserName=kim", "200", []string{"<PermissionsBoundaryArn>" + readARN}},
		{"ListEntitiesForPolicy PolicyArn=" + readARN, "200", []string{"<UserName>kim</UserName>"}},
		{"ListEntitiesForPolicy EntityFilter=Role PolicyArn=" + readARN, "200", []string{"!kim"}},
		{"DeletePolicy PolicyArn=" + readARN, "DeleteConflict", nil},
		{"CreateLoginProfile UserName=kim Password=short", "PasswordPolicyViolation", nil},
		{"CreateLoginProfile UserName=kim Password=correct-horse-battery PasswordResetRequired=true", "200", []string{"<PasswordResetRequired>true"}},
		{"CreateLoginProfile UserName=kim Password=correct-horse-battery", "EntityAlreadyExists", nil},
		{"UpdateLoginProfile UserName=kim PasswordResetRequired=false", "200", nil},
		{"GetLoginProfile UserName=kim", "200", []string{"<PasswordResetRequired>false"}},
		{"DeleteUser UserName=kim", "DeleteConflict", []string{"detach all policies"}},
		{"DetachUserPolicy UserName=kim PolicyArn=" + readARN, "200", nil},
		{"DetachUserPolicy UserName=kim PolicyArn=" + readARN, "NoSuchEntity", nil},
		{"DeleteUser UserName=kim", "DeleteConflict", []string{"delete policies"}},
		{"DeleteUserPolicy UserName=kim PolicyName=own", "200", nil},
		{"DeleteUserPolicy UserName=kim PolicyName=own", "NoSuchEntity", nil},
		{"DeleteUser UserName=kim", "DeleteConflict", []string{"delete login profile"}},
		{"DeleteLoginProfile UserName=kim", "200", nil},
		{"GetLoginProfile UserName=kim", "NoSuchEntity", nil},
		{"DeleteUserPermissionsBoundary UserName=kim", "200", nil},
		{"DeleteUserPermissionsBoundary UserName=kim", "NoSuchEntity", nil},
		{"UpdateUser UserName=kim NewUserName=kay NewPath=/", "200", nil},
		{"GetUser UserName=kay", "200", []string{"user/kay<", "<Key>Cost<"}},
		{"DeleteUser UserName=kay", "200", nil},
		{"DeleteUser UserName=kay", "NoSuchEntity", nil},
		{"DeletePolicy PolicyArn=" + readARN, "200", nil},
		{"DeletePolicy PolicyArn=" + readARN, "NoSuchEntity", nil},
		{"DeleteUser UserName=tester", "DeleteConflict", nil},
		{"DetachUserPolicy UserName=tester PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess", "DeleteConflict", []string{"nobody would be left"}},
	})
}

// Groups: members are in it until they leave, and it goes when it is empty.
func TestGroupLife(t *testing.T) {
	serve(t).script(t, []step{
		{"CreateGroup GroupName=dev Path=/eng/", "200", []string{"<GroupId>AGPA", "arn:aws:iam::111122223333:group/eng/dev"}},
		{"CreateGroup GroupName=Dev", "EntityAlreadyExists", nil},
		{"AddUserToGroup GroupName=dev UserName=nobody", "NoSuchEntity", nil},
		{"AddUserToGroup GroupName=none UserName=tester", "NoSuchEntity", nil},
		{"AddUserToGroup GroupName=dev UserName=tester", "200", nil},
		{"AddUserToGroup GroupName=dev UserName=tester", "200", nil},
		{"GetGroup GroupName=dev", "200", []string{"<UserName>tester<"}},
		{"ListGroupsForUser UserName=tester", "200", []string{"<GroupName>dev<"}},
		{"AttachGroupPolicy GroupName=dev PolicyArn=arn:aws:iam::aws:policy/HaechiDeveloper", "200", nil},
		{"ListAttachedGroupPolicies GroupName=dev", "200", []string{"HaechiDeveloper"}},
		{"PutGroupPolicy GroupName=dev PolicyName=own PolicyDocument=" + readText, "200", nil},
		{"GetGroupPolicy GroupName=dev PolicyName=own", "200", []string{"<GroupName>dev<"}},
		{"ListGroupPolicies GroupName=dev", "200", []string{"own"}},
		{"UpdateGroup GroupName=dev NewGroupName=DEV", "200", nil},
		{"GetGroup GroupName=DEV", "200", []string{"<UserName>tester<"}},
		{"GetGroup GroupName=dev", "NoSuchEntity", nil},
		{"DeleteGroup GroupName=DEV", "DeleteConflict", []string{"remove users"}},
		{"RemoveUserFromGroup GroupName=DEV UserName=tester", "200", nil},
		{"RemoveUserFromGroup GroupName=DEV UserName=tester", "NoSuchEntity", nil},
		{"DeleteGroup GroupName=DEV", "DeleteConflict", []string{"detach all policies"}},
		{"DetachGroupPolicy GroupName=DEV PolicyArn=arn:aws:iam::aws:policy/HaechiDeveloper", "200", nil},
		{"DeleteGroupPolicy GroupName=DEV PolicyName=own", "200", nil},
		{"DeleteGroup GroupName=DEV", "200", nil},
		{"ListGroups", "200", []string{"!DEV"}},
	})
}

// Roles and instance profiles: ids stay, trust is read back as it was set, and what is in use stays.
func TestRoleLife(t *testing.T) {
	serve(t).script(t, []step{
		{"CreateRole RoleName=ci AssumeRolePolicyDocument={\"a\":1}", "MalformedPolicyDocument", nil},
		{"CreateRole RoleName=ci AssumeRolePolicyDocument=" + readText, "MalformedPolicyDocument", nil},
		{"CreateRole RoleName=ci Path=/ci/ Description=builds~things MaxSessionDuration=7200 AssumeRolePolicyDocument=" + trustAll, "200", []string{"<RoleId>AROA", "role/ci/ci", "<MaxSessionDuration>7200", "builds things"}},
		{"CreateRole RoleName=ci AssumeRolePolicyDocument=" + trustAll, "EntityAlreadyExists", nil},
		{"GetRole RoleName=ci", "200", []string{"<AssumeRolePolicyDocument>%7B%22Version%22%3A%222012-10-17%22"}},
		{"UpdateRole RoleName=ci Description=other", "200", nil},
		{"GetRole RoleName=ci", "200", []string{"<MaxSessionDuration>7200", "<Description>other"}},
		{"UpdateRole RoleName=ci MaxSessionDuration=3601", "200", nil},
		{"GetRole RoleName=ci", "200", []string{"<MaxSessionDuration>3601", "<Description>other"}},
		{"UpdateAssumeRolePolicy RoleName=ci PolicyDocument=" + trustAll, "200", nil},
		{"UpdateAssumeRolePolicy RoleName=no PolicyDocument=" + trustAll, "NoSuchEntity", nil},
		{"TagRole RoleName=ci Tags.member.1.Key=a Tags.member.1.Value=b", "200", nil},
		{"ListRoleTags RoleName=ci", "200", []string{"<Key>a</Key>"}},
		{"PutRolePolicy RoleName=ci PolicyName=own PolicyDocument=" + readText, "200", nil},
		{"AttachRolePolicy RoleName=ci PolicyArn=arn:aws:iam::aws:policy/HaechiPipeline", "200", nil},
		{"CreateInstanceProfile InstanceProfileName=box", "200", []string{"<InstanceProfileId>AIPA", "<Roles></Roles>"}},
		{"AddRoleToInstanceProfile InstanceProfileName=box RoleName=ci", "200", nil},
		{"AddRoleToInstanceProfile InstanceProfileName=box RoleName=ci", "LimitExceeded", nil},
		{"GetInstanceProfile InstanceProfileName=box", "200", []string{"<RoleName>ci<"}},
		{"ListInstanceProfilesForRole RoleName=ci", "200", []string{"<InstanceProfileName>box<"}},
		{"DeleteRole RoleName=ci", "DeleteConflict", []string{"instance profile"}},
		{"DeleteInstanceProfile InstanceProfileName=box", "DeleteConflict", nil},
		{"RemoveRoleFromInstanceProfile InstanceProfileName=box RoleName=ci", "200", nil},
		{"DeleteInstanceProfile InstanceProfileName=box", "200", nil},
		{"DeleteRole RoleName=ci", "DeleteConflict", []string{"detach all policies"}},
		{"DetachRolePolicy RoleName=ci PolicyArn=arn:aws:iam::aws:policy/HaechiPipeline", "200", nil},
		{"DeleteRolePolicy RoleName=ci PolicyName=own", "200", nil},
		{"DeleteRole RoleName=ci", "200", nil},
		{"DeleteRole RoleName=ci", "NoSuchEntity", nil},
	})
}

// Versions of a policy: five at most, the default stays, what comes with Haechi nobody changes.
func TestPolicyLife(t *testing.T) {
	arn := "arn:aws:iam::111122223333:policy/p"
	add := step{"CreatePolicyVersion SetAsDefault=true PolicyArn=" + arn + " PolicyDocument=" + readText, "200", nil}
	serve(t).script(t, []step{
		{"CreatePolicy PolicyName=p Description=why PolicyDocument=" + readText, "200", nil},
		{"CreatePolicy PolicyName=p PolicyDocument=" + readText, "EntityAlreadyExists", nil},
		add, add, add, add,
		{"CreatePolicyVersion PolicyArn=" + arn + " PolicyDocument=" + readText, "LimitExceeded", nil},
		{"GetPolicy PolicyArn=" + arn, "200", []string{"<DefaultVersionId>v5<", "<Description>why<", "<AttachmentCount>0<"}},
		{"ListPolicyVersions PolicyArn=" + arn, "200", []string{"v1", "v5"}},
		{"GetPolicyVersion PolicyArn=" + arn + " VersionId=v3", "200", []string{"<IsDefaultVersion>false", "<Document>%7B"}},
		{"GetPolicyVersion PolicyArn=" + arn + " VersionId=v9", "NoSuchEntity", nil},
		{"DeletePolicyVersion PolicyArn=" + arn + " VersionId=v5", "DeleteConflict", nil},
		{"SetDefaultPolicyVersion PolicyArn=" + arn + " VersionId=v1", "200", nil},
		{"DeletePolicy PolicyArn=" + arn, "DeleteConflict", []string{"more than one version"}},
		{"DeletePolicyVersion PolicyArn=" + arn + " VersionId=v5", "200", nil},
		{"DeletePolicyVersion PolicyArn=" + arn + " VersionId=v5", "NoSuchEntity", nil},
		{"CreatePolicyVersion PolicyArn=" + arn + " PolicyDocument=" + readText, "200", []string{"<VersionId>v6<"}},
		{"ListPolicies Scope=Local", "200", []string{arn, "!AdministratorAccess"}},
		{"ListPolicies Scope=AWS", "200", []string{"arn:aws:iam::aws:policy/AdministratorAccess", "!" + arn}},
		{"ListPolicies OnlyAttached=true", "200", []string{"AdministratorAccess", "!SecurityAudit"}},
		{"DeletePolicy PolicyArn=arn:aws:iam::aws:policy/SecurityAudit", "AccessDenied", nil},
		{"CreatePolicyVersion PolicyArn=arn:aws:iam::aws:policy/SecurityAudit PolicyDocument=" + readText, "AccessDenied", nil},
	})
}

// Lists come in pages that nothing moves.
func TestPages(t *testing.T) {
	h := serve(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		h.script(t, []step{{"CreateUser UserName=" + name, "200", nil}})
	}
	_, body := h.do(t, "ListUsers", "MaxItems", "2")
	marker := inside(body, "Marker")
	h.script(t, []step{
		{"DeleteUser UserName=a", "200", nil},
		{"ListUsers MaxItems=2 Marker=" + marker, "200", []string{"<UserName>c<", "<UserName>d<", "!<UserName>b<", "<IsTruncated>true"}},
		{"ListUsers Marker=!", "InvalidInput", []string{"Invalid Marker"}},
		{"ListUsers MaxItems=0", "InvalidInput", nil},
		{"ListUsers PathPrefix=/x/", "200", []string{"!<UserName>"}},
	})
}

// Keys, tokens, providers, the account and its reports.
func TestAccount(t *testing.T) {
	provider := "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
	h := serve(t)
	h.access.Used(wiretest.AccessKey, "iam", wiretest.Region) // as the door says of a signature that it has verified
	h.script(t, []step{
		{"CreateAccessKey", "200", []string{"<UserName>tester<", "<AccessKeyId>AKIA", "<SecretAccessKey>"}},
		{"CreateAccessKey UserName=tester", "LimitExceeded", nil},
		{"ListAccessKeys", "200", []string{"AKIA", "HAECHITEST", "!Secret"}},
		{"UpdateAccessKey AccessKeyId=AKIAXXXXXXXXXXXXXXXX Status=Inactive", "NoSuchEntity", nil},
		{"DeleteAccessKey AccessKeyId=AKIAXXXXXXXXXXXXXXXX", "NoSuchEntity", nil},
		{"GetAccessKeyLastUsed AccessKeyId=HAECHITESTKEY0000002", "200", []string{"<UserName>tester<", "<LastUsedDate>"}},
		{"CreateServiceSpecificCredential UserName=tester ServiceName=codecommit.amazonaws.com", "200", []string{"<ServicePassword>", "<ServiceUserName>tester<"}},
		{"ListServiceSpecificCredentials UserName=tester", "200", []string{"ACCA", "!ServicePassword"}},
		{"ListServiceSpecificCredentials AllUsers=true", "NotImplemented", nil},
		{"CreateServiceSpecificCredential UserName=tester ServiceName=codecommit.amazonaws.com CredentialAgeDays=30", "NotImplemented", nil},
		{"CreateOpenIDConnectProvider Url=https://aws ClientIDList.member.1=a", "InvalidInput", nil},
		{"CreateOpenIDConnectProvider Url=http://x ClientIDList.member.1=a", "InvalidInput", nil},
		{"CreateOpenIDConnectProvider Url=https://token.actions.githubusercontent.com ClientIDList.member.1=sts.amazonaws.com ThumbprintList.member.1=6938fd4d98bab03faadb97b34396831e3780aea1", "200", []string{provider}},
		{"CreateOpenIDConnectProvider Url=https://token.actions.githubusercontent.com", "EntityAlreadyExists", nil},
		{"AddClientIDToOpenIDConnectProvider ClientID=more OpenIDConnectProviderArn=" + provider, "200", nil},
		{"GetOpenIDConnectProvider OpenIDConnectProviderArn=" + provider, "200", []string{"<Url>token.actions.githubusercontent.com<", "<member>more<"}},
		{"RemoveClientIDFromOpenIDConnectProvider ClientID=more OpenIDConnectProviderArn=" + provider, "200", nil},
		{"ListOpenIDConnectProviders", "200", []string{provider}},
		{"DeleteOpenIDConnectProvider OpenIDConnectProviderArn=" + provider, "200", nil},
		{"GetOpenIDConnectProvider OpenIDConnectProviderArn=" + provider, "NoSuchEntity", nil},
		{"CreateAccountAlias AccountAlias=Shop", "InvalidInput", nil},
		{"CreateAccountAlias AccountAlias=shop", "200", nil},
		{"ListAccountAliases", "200", []string{"<member>shop<"}},
		{"DeleteAccountAlias AccountAlias=shop", "200", nil},
		{"DeleteAccountAlias AccountAlias=shop", "NoSuchEntity", nil},
		{"GetAccountSummary", "200", []string{"<key>Users</key><value>1</value>"}},
		{"GetAccountPasswordPolicy", "200", []string{"<MinimumPasswordLength>12<"}},
		{"GetAccountAuthorizationDetails", "200", []string{"<UserName>tester<", "<PolicyName>AdministratorAccess<"}},
		{"GetAccountAuthorizationDetails Filter.member.1=Role", "200", []string{"!tester"}},
		{"GenerateCredentialReport", "200", []string{"COMPLETE"}},
		{"GetCredentialReport", "200", []string{"<Content>dXNlcixhcm4s"}},
		{"SimulatePrincipalPolicy PolicySourceArn=arn:aws:iam::111122223333:user/tester ActionNames.member.1=iam:CreateUser", "200", []string{"<EvalDecision>allowed<", "<SourcePolicyId>AdministratorAccess<", "<SourcePolicyType>aws-managed<"}},
		{"SimulatePrincipalPolicy PolicySourceArn=arn:aws:iam::111122223333:user/nobody ActionNames.member.1=iam:CreateUser", "NoSuchEntity", nil},
		{"GetContextKeysForPrincipalPolicy PolicySourceArn=arn:aws:iam::111122223333:user/tester", "200", nil},
	})
}
