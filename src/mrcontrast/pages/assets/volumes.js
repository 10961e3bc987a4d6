"use strict";
// The volumes of the report: base64 of gzipped NIfTI files, and the difference of two of them.
window.mrcontrastVolumes = (() => {
  const NIFTI = { datatype: 70, bits: 72, offset: 108, slope: 112, intercept: 116 }; // bytes of its header
  const FLOAT32 = 16;

  async function decode(id) {
    const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  // The voxels of a NIfTI file of ours (little-endian, uint8 or int16), scaled by its header.
  function voxels(file) {
    const header = new DataView(file);
    const start = header.getFloat32(NIFTI.offset, true);
    const raw = header.getInt16(NIFTI.bits, true) === 8 ? new Uint8Array(file, start) : new Int16Array(file, start);
    const slope = header.getFloat32(NIFTI.slope, true) || 1;
    const intercept = header.getFloat32(NIFTI.intercept, true);
    return Float32Array.from(raw, (value) => value * slope + intercept);
  }

  function subtract(synthetic, real) {
    const start = new DataView(real).getFloat32(NIFTI.offset, true);
    const first = voxels(synthetic);
    const second = voxels(real);
    const file = new ArrayBuffer(start + 4 * first.length);
    new Uint8Array(file).set(new Uint8Array(real, 0, start));
    const header = new DataView(file);
    header.setInt16(NIFTI.datatype, FLOAT32, true);
    header.setInt16(NIFTI.bits, 32, true);
    header.setFloat32(NIFTI.slope, 1, true);
    header.setFloat32(NIFTI.intercept, 0, true);
    new Float32Array(file, start).set(first.map((value, i) => value - second[i]));
    return file;
  }

  return { decode, subtract };
})();
