-- What schemas 3 and 4 changed.
CREATE TABLE roles (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    statements TEXT NOT NULL,
    managed_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE (workspace, name));
ALTER TABLE agents ADD COLUMN roles TEXT NOT NULL DEFAULT '[]';
ALTER TABLE agents ADD COLUMN pins TEXT NOT NULL DEFAULT '[]';
ALTER TABLE gateway_keys ADD COLUMN configuration TEXT;
ALTER TABLE gateway_keys ADD COLUMN created_by TEXT NOT NULL DEFAULT 'root';
CREATE TABLE seeds (
    workspace TEXT NOT NULL,
    provider TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (workspace, provider));
CREATE TABLE configurations (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    tags TEXT NOT NULL,
    version BIGINT NOT NULL,
    plan TEXT,
    draft TEXT,
    draft_based_on BIGINT,
    draft_by TEXT,
    draft_at BIGINT,
    managed_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE (workspace, name));
CREATE TABLE configuration_versions (
    configuration TEXT NOT NULL,
    version BIGINT NOT NULL,
    document TEXT NOT NULL,
    applied_by TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    restores BIGINT,
    PRIMARY KEY (configuration, version));
CREATE TABLE admin_tokens (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    masked TEXT NOT NULL,
    scope TEXT,
    role TEXT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE (workspace, name));
CREATE TABLE audit (
    workspace TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    resource TEXT NOT NULL,
    before TEXT,
    after TEXT,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (workspace, seq));
CREATE TABLE audit_heads (
    workspace TEXT PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL);
ALTER TABLE configurations ADD COLUMN declared TEXT;
UPDATE meta SET schema_version = 4;
